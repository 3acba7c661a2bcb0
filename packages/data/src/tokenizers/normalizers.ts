import type { AlignedText } from './alignedText.js';
import { mapCharacters, TextEditor, unitsAt } from './alignedText.js';
import { byteLettersOf } from './byteLetters.js';
import { bertNormalizer } from './bertNormalizer.js';
import type { Normalizer } from './unicodeForm.js';
import { unicodeForm } from './unicodeForm.js';
import { readCharsmap } from './charsmap.js';
import type { PartJson } from './partJson.js';
import { entryOf, flagOf, isPart, listOf, textOf, typeOf, unusablePart } from './partJson.js';
import { readPattern, replaceAll } from './patterns.js';

export type { Normalizer } from './unicodeForm.js';

/** The `normalizer` of a tokenizer.json; null is none. */
export function readNormalizer(json: unknown, place = 'normalizer'): Normalizer | undefined {
  if (json === null || json === undefined) return undefined;
  const make = entryOf(normalizers, typeOf(json));
  if (make !== undefined && isPart(json)) return make(json, place);
  throw unusablePart(place, Object.keys(normalizers).join(', '), typeOf(json));
}

const normalizers: Readonly<Record<string, (json: PartJson, place: string) => Normalizer>> = {
  Sequence(json, place) {
    const all = listOf(json, 'normalizers', place).map((each, at) => readNormalizer(each, `${place}.${at}`));
    return (text) => all.reduce((changed, normalize) => normalize?.(changed) ?? changed, text);
  },
  BertNormalizer: bertNormalizer,
  NFC: () => unicodeForm('NFC'),
  NFD: () => unicodeForm('NFD'),
  NFKC: () => unicodeForm('NFKC'),
  NFKD: () => unicodeForm('NFKD'),
  Lowercase: () => (text) => mapCharacters(text, (character) => character.toLowerCase()),
  StripAccents: () => (text) => mapCharacters(text, (character) => (/^\p{M}$/u.test(character) ? '' : character)),
  Strip(json, place) {
    const [left, right] = [flagOf(json, 'strip_left', place, true), flagOf(json, 'strip_right', place, true)];
    return (source) => {
      const from = left ? (/^\p{White_Space}*/u.exec(source.text)?.[0].length ?? 0) : 0;
      let to = source.text.length;
      while (right && to > from && /\p{White_Space}/u.test(source.text.charAt(to - 1))) to--;
      return source.slice(from, to);
    };
  },
  Prepend(json, place) {
    const prefix = textOf(json, 'prepend', place);
    return (source) => prepended(source, prefix);
  },
  Replace(json, place) {
    const find = readPattern(json, place);
    const content = textOf(json, 'content', place);
    return (source) => replaceAll(source, find, content);
  },
  Nmt: () => (source) => mapCharacters(source, (character) => nmt(character)),
  Precompiled: readCharsmap,
  ByteLevel: () => (source) => mapCharacters(source, byteLettersOf),
};

/** Text with something before it, unless it is empty. What is put there stands for the first character. */
export function prepended(source: AlignedText, prefix: string): AlignedText {
  if (source.text === '') return source;
  const editor = new TextEditor(source);
  editor.put(prefix, 0, unitsAt(source.text, 0));
  editor.keep(0, source.text.length);
  return editor.done();
}

function nmt(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  const isRemoved =
    (code >= 0x01 && code <= 0x08) ||
    code === 0x0b ||
    (code >= 0x0e && code <= 0x1f) ||
    code === 0x7f ||
    code === 0x8f ||
    code === 0x9f;
  if (isRemoved) return '';
  return nmtSpaces.test(character) ? ' ' : character;
}

const nmtSpaces = /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/;
