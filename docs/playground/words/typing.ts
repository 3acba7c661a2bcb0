/** What was typed, cut for a model that learns whole sentences and continues begun ones. */
export interface Typed {
  /** Whole sentences, each once. */
  readonly sentences: readonly string[];
  /** The sentence that is being typed, without spaces before it. */
  readonly begun: string;
}

/** A sentence ends with a mark and a space or the end of a line. */
const end = /(?<=[.!?…]["'”’)]?)\s+|\n+/u;

/** Shorter ones teach nothing. */
const fewestLetters = 8;

export function cut(text: string): Typed {
  const parts = text.split(end);
  const begun = parts.pop() ?? '';
  const whole = parts.map((part) => part.trim()).filter((part) => part.length >= fewestLetters);
  return { sentences: [...new Set(whole)], begun: begun.trimStart() };
}

/** What a model is asked to continue: the words that are whole, and the beginning of the next one. */
export interface Asked {
  /** Without the space at its end, as tokenizers like it. */
  readonly words: string;
  readonly partial: string;
}

export function askedOf(begun: string): Asked {
  const at = begun.lastIndexOf(' ');
  return at < 0 ? { words: '', partial: begun } : { words: begun.slice(0, at).trimEnd(), partial: begun.slice(at + 1) };
}

const mostWords = 6;

/** The same where the model is asked to go on in the middle of the word. */
export function wholeOf({ words, partial }: Asked): Asked {
  return { words: words === '' ? partial : `${words} ${partial}`, partial: '' };
}

/**
 * What to put after the caret: of a continuation of `words` the first few words, as long as they go on with `partial`;
 * empty where they do not.
 */
export function suggestion({ words, partial }: Asked, continuation: string): string {
  const line = continuation.split('\n', 1)[0] ?? '';
  const sentence = /^.*?[.!?](?=\s|$)/u.exec(line)?.[0] ?? line;
  // With no letters of the next word, the one before it may go on.
  const next = partial === '' && words !== '' ? sentence : sentence.trimStart();
  if (partial !== '' && words !== '' && !/^\s/.test(sentence)) return '';
  if (!next.startsWith(partial) || next === partial) return '';
  const rest = next.slice(partial.length);
  const pieces = rest.match(/\s*\S+/gu) ?? [];
  const kept = pieces.slice(0, mostWords);
  // The last word may be cut off where the model had no tokens left.
  const isWhole = kept.length < pieces.length || /[.!?]$/.test(rest);
  return (isWhole || kept.length === 1 ? kept : kept.slice(0, -1)).join('');
}
