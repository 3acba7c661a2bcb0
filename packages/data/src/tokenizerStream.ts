import type { TextTokenizer } from './tokenizer.js';

/** Text of tokens that come one by one. */
export interface TextStream {
  /** The text that is sure by now: while a character's bytes are not all there, nothing. */
  push(id: number): string;
  /** What is left: a U+FFFD for a character that was never finished. */
  end(): string;
}

/**
 * Tokens of context that a decoder may look back on: blanks before a word, pieces of a character. A run of byte tokens
 * is decoded as one, so that context which begins within a character is made longer, up to this much.
 */
const context = 8;
const longestContext = 128;

/**
 * Decodes token by token what follows `prompt`, special tokens left out: all pieces together are the text of all
 * tokens. Each piece is the difference of two decodings of the last few tokens, so a blank that belongs to a token is
 * not lost, and a piece that ends within a character waits for the rest of it.
 */
export function textStream(tokenizer: Pick<TextTokenizer, 'decode'>, prompt: readonly number[] = []): TextStream {
  const recent = (all: readonly number[]): number[] => {
    let size = context;
    while (size < Math.min(all.length, longestContext) && tokenizer.decode(all.slice(-size)).startsWith('\ufffd'))
      size *= 2;
    return all.slice(-size);
  };
  let ids = recent(prompt.slice(-longestContext));
  let given = ids.length;
  // A prompt that ends within a character: the first piece will have all of it.
  while (given > Math.max(0, ids.length - 4) && tokenizer.decode(ids.slice(0, given)).endsWith('\ufffd')) given--;
  let known = tokenizer.decode(ids.slice(0, given));
  const rest = (): string => {
    const text = tokenizer.decode(ids);
    // A decoder that looks ahead may write what came before otherwise: then the tokens are decoded alone.
    return text.startsWith(known) ? text.slice(known.length) : tokenizer.decode(ids.slice(given));
  };
  return {
    push(id) {
      ids.push(id);
      const text = rest();
      if (text === '' || text.endsWith('\ufffd')) return '';
      ids = recent(ids);
      given = ids.length;
      known = tokenizer.decode(ids);
      return text;
    },
    end() {
      const text = rest();
      given = ids.length;
      known = tokenizer.decode(ids);
      return text;
    },
  };
}
