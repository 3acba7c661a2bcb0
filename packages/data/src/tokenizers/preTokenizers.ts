import type { AlignedText } from './alignedText.js';
import { mapCharacters, unitsAt } from './alignedText.js';
import { byteLettersOf } from './byteLetters.js';
import { shorthand } from './onigClasses.js';
import { prepended } from './normalizers.js';
import type { PartJson } from './partJson.js';
import { countOf, entryOf, flagOf, isPart, listOf, textOf, typeOf, unusablePart, wordOf } from './partJson.js';
import type { Finder } from './patterns.js';
import { readBehavior, readPattern, regexFinder, replaceAll, splitText } from './patterns.js';
import { literalRegex } from './onigRegex.js';

/** Splits one piece of text into the pieces that the model sees, and may change them. */
export type PreTokenizer = (piece: AlignedText) => AlignedText[];

/** The `pre_tokenizer` of a tokenizer.json; null is none. */
export function readPreTokenizer(json: unknown, place = 'pre_tokenizer'): PreTokenizer | undefined {
  if (json === null || json === undefined) return undefined;
  const make = entryOf(preTokenizers, typeOf(json));
  if (make !== undefined && isPart(json)) return make(json, place);
  throw unusablePart(place, Object.keys(preTokenizers).join(', '), typeOf(json));
}

const preTokenizers: Readonly<Record<string, (json: PartJson, place: string) => PreTokenizer>> = {
  Sequence(json, place) {
    const all = listOf(json, 'pretokenizers', place).map((each, at) => readPreTokenizer(each, `${place}.${at}`));
    return (piece) =>
      all.reduce<AlignedText[]>((pieces, split) => (split === undefined ? pieces : pieces.flatMap(split)), [piece]);
  },
  BertPreTokenizer: () => (piece) =>
    splitText(piece, regexFinder(/\p{White_Space}/gu), { behavior: 'Removed' }).flatMap((word) =>
      splitText(word, punctuation, { behavior: 'Isolated' }),
    ),
  ByteLevel(json, place) {
    const prefixes = flagOf(json, 'add_prefix_space', place, true);
    const splits = flagOf(json, 'use_regex', place, true);
    return (piece) => {
      const text = prefixes && !piece.text.startsWith(' ') ? prepended(piece, ' ') : piece;
      const pieces = splits ? splitText(text, byteLevelWords, { behavior: 'Isolated' }) : [text];
      return pieces.map((each) => mapCharacters(each, byteLettersOf));
    };
  },
  Metaspace: readMetaspace,
  Whitespace: () => (piece) => splitText(piece, words, { behavior: 'Removed', invert: true }),
  WhitespaceSplit: () => (piece) => splitText(piece, regexFinder(/\p{White_Space}/gu), { behavior: 'Removed' }),
  CharDelimiterSplit(json, place) {
    const find = regexFinder(literalRegex(textOf(json, 'delimiter', place)));
    return (piece) => splitText(piece, find, { behavior: 'Removed' });
  },
  Split(json, place) {
    const find = readPattern(json, place);
    const options = { behavior: readBehavior(json, place), invert: flagOf(json, 'invert', place, false) };
    return (piece) => splitText(piece, find, options);
  },
  Punctuation(json, place) {
    const behavior = readBehavior(json, place, 'Isolated');
    return (piece) => splitText(piece, punctuation, { behavior });
  },
  Digits(json, place) {
    const behavior = flagOf(json, 'individual_digits', place, false) ? 'Isolated' : 'Contiguous';
    return (piece) => splitText(piece, regexFinder(/\p{N}/gu), { behavior });
  },
  FixedLength(json, place) {
    const length = countOf(json, 'length', place, 5);
    return (piece) => (length === 0 ? [piece] : fixedLengths(piece, length));
  },
};

const punctuation: Finder = regexFinder(/[\p{P}$+<=>^`|~]/gu);
const contractions = "'s|'t|'re|'ve|'m|'ll|'d";
const runs = ' ?\\p{L}+| ?\\p{N}+| ?[^\\p{White_Space}\\p{L}\\p{N}]+';
const blanks = '\\p{White_Space}+(?!\\P{White_Space})|\\p{White_Space}+';
const byteLevelWords: Finder = regexFinder(new RegExp(`${contractions}|${runs}|${blanks}`, 'gu'));
/** Words as the `regex` crate has them: it counts joiners, and has not the six signs of `shorthand`. */
const rustWord = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\u200c\\u200d';
const words: Finder = regexFinder(new RegExp(`[${rustWord}]+|[^${rustWord}${shorthand['s'] ?? ''}]+`, 'gu'));

function readMetaspace(json: PartJson, place: string): PreTokenizer {
  const mark = textOf(json, 'replacement', place);
  const scheme = wordOf(json, {
    key: 'prepend_scheme',
    place,
    words: ['first', 'never', 'always'],
    fallback: json['add_prefix_space'] === false ? 'never' : 'always',
  });
  const splits = flagOf(json, 'split', place, true);
  if (json['add_prefix_space'] === false && scheme !== 'never')
    throw unusablePart(`add_prefix_space in ${place}`, `true beside the prepend_scheme ${scheme}`, false);
  const blank = regexFinder(/ /g);
  const marks = regexFinder(literalRegex(mark));
  return (piece) => {
    let text = replaceAll(piece, blank, mark);
    const prefixes = scheme === 'always' || (scheme === 'first' && piece.isFirst);
    if (prefixes && !text.text.startsWith(mark)) text = prepended(text, mark);
    return splits ? splitText(text, marks, { behavior: 'MergedWithNext' }) : [text];
  };
}

function fixedLengths(piece: AlignedText, length: number): AlignedText[] {
  const pieces: AlignedText[] = [];
  let from = 0;
  let count = 0;
  for (let at = 0; at < piece.text.length;) {
    at += unitsAt(piece.text, at);
    if (++count < length && at < piece.text.length) continue;
    pieces.push(piece.slice(from, at));
    from = at;
    count = 0;
  }
  return pieces;
}
