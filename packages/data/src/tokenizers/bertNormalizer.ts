import type { AlignedText } from './alignedText.js';
import { mapCharacters } from './alignedText.js';
import type { PartJson } from './partJson.js';
import { flagOf } from './partJson.js';
import { unicodeForm } from './unicodeForm.js';

/** BERT's normalizer: clean text, blanks around Chinese characters, no accents, lower case, each where asked for. */
export function bertNormalizer(json: PartJson, place: string): (text: AlignedText) => AlignedText {
  const cleans = flagOf(json, 'clean_text', place, true);
  const splitsChinese = flagOf(json, 'handle_chinese_chars', place, true);
  const lowers = flagOf(json, 'lowercase', place, true);
  // Without a word on accents, lower case decides.
  const strips = json['strip_accents'] === null ? lowers : flagOf(json, 'strip_accents', place, lowers);
  return (source) => {
    let text = source;
    if (cleans) text = mapCharacters(text, clean);
    if (splitsChinese) text = mapCharacters(text, (each) => (isChinese(each) ? ` ${each} ` : each));
    if (strips) text = mapCharacters(decompose(text), (each) => (/^\p{Mn}$/u.test(each) ? '' : each));
    if (lowers) text = mapCharacters(text, (each) => each.toLowerCase());
    return text;
  };
}

function decompose(text: AlignedText): AlignedText {
  return unicodeForm('NFD')(text);
}

function clean(character: string): string {
  if (/[\t\n\r]/.test(character)) return ' ';
  if (character === '\ufffd' || /^[\p{Cc}\p{Cf}\p{Co}]$/u.test(character)) return '';
  return /^\p{White_Space}$/u.test(character) ? ' ' : character;
}

const chinese: readonly (readonly [number, number])[] = [
  [0x4e00, 0x9fff],
  [0x3400, 0x4dbf],
  [0x20000, 0x2a6df],
  [0x2a700, 0x2b73f],
  [0x2b740, 0x2b81f],
  [0x2b920, 0x2ceaf],
  [0xf900, 0xfaff],
  [0x2f800, 0x2fa1f],
];

function isChinese(character: string): boolean {
  const code = character.codePointAt(0) ?? 0;
  return code >= 0x3400 && chinese.some(([from, to]) => code >= from && code <= to);
}
