import { byteOfLetter } from './byteLetters.js';
import { literalRegex } from './onigRegex.js';
import type { PartJson } from './partJson.js';
import { countOf, entryOf, flagOf, isPart, listOf, textOf, typeOf, unusablePart, wordOf } from './partJson.js';
import { readPattern } from './patterns.js';

/** Makes text of tokens; what comes out is joined. */
export type TokenDecoder = (tokens: readonly string[]) => string[];

/** The `decoder` of a tokenizer.json; null is none: tokens with blanks between them. */
export function readDecoder(json: unknown, place = 'decoder'): TokenDecoder | undefined {
  if (json === null || json === undefined) return undefined;
  const make = entryOf(decoders, typeOf(json));
  if (make !== undefined && isPart(json)) return make(json, place);
  throw unusablePart(place, Object.keys(decoders).join(', '), typeOf(json));
}

const decoders: Readonly<Record<string, (json: PartJson, place: string) => TokenDecoder>> = {
  Sequence(json, place) {
    const all = listOf(json, 'decoders', place).map((each, at) => readDecoder(each, `${place}.${at}`));
    return (tokens) => all.reduce<string[]>((texts, decode) => decode?.(texts) ?? texts, [...tokens]);
  },
  ByteLevel: () => (tokens) => [fromByteLetters(tokens)],
  ByteFallback: () => fromByteTokens,
  Fuse: () => (tokens) => [tokens.join('')],
  Metaspace(json, place) {
    const mark = textOf(json, 'replacement', place);
    const scheme = wordOf(json, {
      key: 'prepend_scheme',
      place,
      words: ['first', 'never', 'always'],
      fallback: json['add_prefix_space'] === false ? 'never' : 'always',
    });
    return (tokens) =>
      tokens.map((token, at) => token.replaceAll(mark, () => (at === 0 && scheme !== 'never' ? '' : ' ')));
  },
  Replace(json, place) {
    const find = readPattern(json, place);
    const content = textOf(json, 'content', place);
    return (tokens) =>
      tokens.map((token) => {
        let [text, done] = ['', 0];
        for (const [from, to] of find(token)) {
          text += token.slice(done, from) + content;
          done = to;
        }
        return text + token.slice(done);
      });
  },
  Strip(json, place) {
    const content = textOf(json, 'content', place);
    const [start, stop] = [countOf(json, 'start', place), countOf(json, 'stop', place)];
    return (tokens) => tokens.map((token) => stripped(token, { content, start, stop }));
  },
  WordPiece(json, place) {
    const prefix = textOf(json, 'prefix', place, '##');
    const cleans = flagOf(json, 'cleanup', place, true);
    return (tokens) =>
      tokens.map((token, at) => {
        const glued = at > 0 && token.startsWith(prefix);
        const text = at === 0 ? token : glued ? token.slice(prefix.length) : ` ${token}`;
        return cleans ? cleanedUp(text) : text;
      });
  },
  BPEDecoder(json, place) {
    const suffix = textOf(json, 'suffix', place, '</w>');
    return (tokens) =>
      tokens.map((token, at) =>
        suffix === '' ? token : token.replaceAll(suffix, at === tokens.length - 1 ? '' : ' '),
      );
  },
  CTC(json, place) {
    const [pad, delimiter] = [
      textOf(json, 'pad_token', place, '<pad>'),
      textOf(json, 'word_delimiter_token', place, '|'),
    ];
    const cleans = flagOf(json, 'cleanup', place, true);
    return (tokens) =>
      tokens
        .filter((token, at) => at === 0 || token !== tokens[at - 1])
        .map((token) => {
          const text = token.replace(literalRegex(pad), '');
          return cleans ? cleanedUp(text).replaceAll(delimiter, ' ') : text;
        })
        .filter((text) => text !== '');
  },
};

/** Bytes of tokens in byte letters; a token with other letters is the text that it is. */
function fromByteLetters(tokens: readonly string[]): string {
  const bytes: number[] = [];
  const utf8 = new TextEncoder();
  for (const token of tokens) {
    const own = Array.from(token, (letter) => byteOfLetter.get(letter));
    if (own.every((byte) => byte !== undefined)) for (const byte of own) bytes.push(byte ?? 0);
    else for (const byte of utf8.encode(token)) bytes.push(byte);
  }
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes));
}

/** `<0x41>` and its like: a run of them is text, or as many U+FFFD where it is none. */
function fromByteTokens(tokens: readonly string[]): string[] {
  const texts: string[] = [];
  let bytes: number[] = [];
  const flush = (): void => {
    if (bytes.length === 0) return;
    try {
      texts.push(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes)));
    } catch {
      for (let count = 0; count < bytes.length; count++) texts.push('\ufffd');
    }
    bytes = [];
  };
  for (const token of tokens) {
    const byte = /^<0x([0-9A-Fa-f]{2}|\+[0-9A-Fa-f])>$/.exec(token)?.[1];
    if (byte !== undefined) bytes.push(parseInt(byte, 16));
    else {
      flush();
      texts.push(token);
    }
  }
  flush();
  return texts;
}

function stripped(token: string, { content, start, stop }: { content: string; start: number; stop: number }): string {
  const letters = Array.from(token);
  let from = 0;
  while (from < start && from < letters.length && letters[from] === content) from++;
  let to = letters.length;
  while (letters.length - to < stop && to > from && letters[to - 1] === content) to--;
  return letters.slice(from, to).join('');
}

/** The blanks before punctuation and short forms that WordPiece's decoder takes away. */
function cleanedUp(text: string): string {
  return cleanUps.reduce((cleaned, [from, to]) => cleaned.replaceAll(from, to), text).replaceAll(' do not', " don't");
}

const cleanUps: readonly (readonly [string, string])[] = [
  [' .', '.'],
  [' ?', '?'],
  [' !', '!'],
  [' ,', ','],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

/** transformers' `clean_up_tokenization`: the same, but for "do not". */
export function cleanUpSpaces(text: string): string {
  return cleanUps.reduce((cleaned, [from, to]) => cleaned.replaceAll(from, to), text);
}
