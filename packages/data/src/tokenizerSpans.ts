import { LowrankError } from '@lowrank/errors';

/** A stretch of text: from `start` up to `end`, as JavaScript counts. */
export interface TextSpan {
  readonly start: number;
  readonly end: number;
}

/** What a token stands for. Added tokens may swallow the blanks before (`lstrip`) or behind (`rstrip`) them. */
interface Spelled {
  readonly bytes: Uint8Array;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
}

type Spelling = (id: number) => Spelled;

const utf8 = new TextEncoder();

/**
 * The spelling of a tokenizer.json: byte-level letters (Radford et al. 2019), SentencePiece's ▁ and `<0x41>`,
 * WordPiece's ##.
 */
export function spellingOf(
  json: Readonly<Record<string, unknown>>,
  tokenOf: (id: number) => string | undefined,
): Spelling {
  const added = new Map(
    (json['added_tokens'] as readonly { id: number; content: string; lstrip?: boolean; rstrip?: boolean }[]).map(
      (token) => [token.id, token],
    ),
  );
  const { type, continuing_subword_prefix: prefix } = json['model'] as {
    type?: string;
    continuing_subword_prefix?: string | null;
  };
  const isByteLevel = JSON.stringify([json['decoder'], json['pre_tokenizer']]).includes('"ByteLevel"');
  const letters = isByteLevel ? byteLetters() : undefined;
  const bytesOf = (token: string): Uint8Array => {
    if (letters !== undefined)
      return Uint8Array.from(Array.from(token).flatMap((letter) => letters.get(letter) ?? [...utf8.encode(letter)]));
    const byte = /^<0x([0-9A-F]{2})>$/.exec(token)?.[1];
    if (byte !== undefined) return Uint8Array.of(parseInt(byte, 16));
    if (type === 'WordPiece')
      return utf8.encode(token.startsWith(prefix ?? '##') ? token.slice((prefix ?? '##').length) : token);
    return utf8.encode(token.replaceAll('▁', ' '));
  };
  return (id) => {
    const special = added.get(id);
    return special === undefined
      ? { bytes: bytesOf(tokenOf(id) ?? ''), lstrip: false, rstrip: false }
      : { bytes: utf8.encode(special.content), lstrip: special.lstrip === true, rstrip: special.rstrip === true };
  };
}

/**
 * Where each token's text lies. The tokens are walked along the text: a tokenizer may put a blank before a piece of
 * text (SentencePiece) and drop blanks around added tokens; where anything else differs, places cannot be told. Of a
 * token that is part of a character the whole character counts.
 *
 * @throws LowrankError `data.spans` where the tokenizer changes the text: lower case, other forms of Unicode
 */
export function spansOf(text: string, ids: readonly number[], spelling: Spelling): TextSpan[] {
  const bytes = utf8.encode(text);
  const places = placesOf(text, bytes.length);
  const spans: TextSpan[] = [];
  let at = 0;
  for (const id of ids) {
    const own = spelling(id);
    let from = at;
    let taken: number | undefined;
    while ((taken = matching(bytes, own.bytes, from)) === undefined) {
      if (!isBlank(bytes[from])) throw lost(text, places[from]?.start ?? text.length);
      from++;
    }
    const first = own.lstrip ? at : from;
    const start = places[first]?.start ?? text.length;
    at = from + taken;
    if (own.rstrip) while (isBlank(bytes[at])) at++;
    // A blank that the text has not, alone, has the place of the character it was put before, as in Hugging Face's
    // tokenizers.
    spans.push({ start, end: (at > first ? places[at - 1] : places[at])?.end ?? text.length });
  }
  return spans;
}

/** How many bytes from `from` on are the token's; it may have a blank in front that the text has not. */
function matching(bytes: Uint8Array, token: Uint8Array, from: number): number | undefined {
  const fits = (skip: number): boolean => token.subarray(skip).every((byte, at) => bytes[from + at] === byte);
  if (fits(0)) return token.length;
  return token[0] === 0x20 && fits(1) ? token.length - 1 : undefined;
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || (byte !== undefined && byte >= 0x09 && byte <= 0x0d);
}

/** For each byte of the text's UTF-8, the character that it is of. */
function placesOf(text: string, length: number): TextSpan[] {
  const places: TextSpan[] = [];
  let start = 0;
  for (const letter of text) {
    const place = { start, end: start + letter.length };
    const code = letter.codePointAt(0) ?? 0;
    const count = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (let i = 0; i < count && places.length < length; i++) places.push(place);
    start += letter.length;
  }
  return places;
}

/** GPT-2's letters for bytes: printable ones stand for themselves, the others for letters from U+0100 on. */
function byteLetters(): Map<string, number[]> {
  const letters = new Map<string, number[]>();
  let next = 256;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    letters.set(String.fromCharCode(printable ? byte : next++), [byte]);
  }
  return letters;
}

function lost(text: string, at: number): LowrankError {
  return new LowrankError({
    code: 'data.spans',
    what: `the tokens of ${JSON.stringify(text.slice(Math.max(0, at - 10), at + 10))}`,
    expected: 'a tokenizer whose tokens spell the text as it is, so that their places can be told',
    got: 'one that changes it (lower case, another form of Unicode, or characters it does not know)',
    remedy: 'Rows of messages need such places; give the rows as "prompt" and "completion" instead.',
  });
}
