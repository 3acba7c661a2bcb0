import { entryOf } from './partJson.js';

/**
 * The character classes of Oniguruma over UTF-8, as contents of a JavaScript class (flag v). Compared with the library
 * of the Rust tokenizers code point by code point; characters younger than its Unicode (16) are left out of account.
 */
const alphabetic = '\\p{Alphabetic}';
const graph = '[^\\p{White_Space}\\p{Cc}\\p{Cn}\\p{Cs}]';

/** `\w`, `\d`, `\s`, `\h` within a class. */
export const shorthand: Readonly<Record<string, string>> = {
  w: `${alphabetic}\\p{M}\\p{Nd}\\p{Pc}`,
  d: '\\p{Nd}',
  s: '\\p{White_Space}',
  h: '0-9a-fA-F',
};

/** A lone `\w` and `\b` also count the superscripts and fractions of Latin-1. */
export const loneWord = `${shorthand['w'] ?? ''}\\u00b2\\u00b3\\u00b9\\u00bc\\u00bd\\u00be`;

/** `[:name:]`, and the same names as properties where these are not said otherwise below. */
const posix: Readonly<Record<string, string>> = {
  alpha: alphabetic,
  alnum: `${alphabetic}\\p{Nd}`,
  ascii: '\\u0000-\\u007f',
  blank: '\\p{Zs}\\t',
  cntrl: '\\p{Cc}',
  digit: '\\p{Nd}',
  graph,
  lower: '\\p{Lowercase}',
  print: `${graph}\\p{Zs}`,
  punct: '\\p{P}\\p{S}',
  space: '\\p{White_Space}',
  upper: '\\p{Uppercase}',
  word: `${alphabetic}\\p{M}\\p{Nd}\\p{Pc}`,
  xdigit: '0-9a-fA-F',
};

const categories: Readonly<Record<string, string>> = {
  other: 'C',
  control: 'Cc',
  format: 'Cf',
  unassigned: 'Cn',
  privateuse: 'Co',
  surrogate: 'Cs',
  letter: 'L',
  casedletter: 'LC',
  lowercaseletter: 'Ll',
  modifierletter: 'Lm',
  otherletter: 'Lo',
  titlecaseletter: 'Lt',
  uppercaseletter: 'Lu',
  mark: 'M',
  combiningmark: 'M',
  spacingmark: 'Mc',
  enclosingmark: 'Me',
  nonspacingmark: 'Mn',
  number: 'N',
  decimalnumber: 'Nd',
  letternumber: 'Nl',
  othernumber: 'No',
  punctuation: 'P',
  connectorpunctuation: 'Pc',
  dashpunctuation: 'Pd',
  closepunctuation: 'Pe',
  finalpunctuation: 'Pf',
  initialpunctuation: 'Pi',
  otherpunctuation: 'Po',
  openpunctuation: 'Ps',
  symbol: 'S',
  currencysymbol: 'Sc',
  modifiersymbol: 'Sk',
  mathsymbol: 'Sm',
  othersymbol: 'So',
  separator: 'Z',
  lineseparator: 'Zl',
  paragraphseparator: 'Zp',
  spaceseparator: 'Zs',
};
const shortCategories = new Map(Object.values(categories).map((name) => [name.toLowerCase(), name]));
const binary: Readonly<Record<string, string>> = {
  any: '\\p{Any}',
  assigned: '\\p{Assigned}',
  emoji: '\\p{Emoji}',
  emojipresentation: '\\p{Emoji_Presentation}',
  extendedpictographic: '\\p{Extended_Pictographic}',
  alphabetic,
  lowercase: '\\p{Lowercase}',
  uppercase: '\\p{Uppercase}',
  whitespace: '\\p{White_Space}',
  ideographic: '\\p{Ideographic}',
  // As a property, punctuation is without symbols.
  punct: '\\p{P}',
};

export function posixClass(name: string): string | undefined {
  return entryOf(posix, name);
}

/** What `\p{name}` means; undefined where the name is not known. Case, spaces, `-` and `_` in names do not count. */
export function propertyClass(name: string): string | undefined {
  const key = name.toLowerCase().replaceAll(/[\s_-]/g, '');
  const category = entryOf(categories, key) ?? shortCategories.get(key);
  if (category !== undefined) return `\\p{${category}}`;
  return entryOf(binary, key) ?? entryOf(posix, key) ?? scriptClass(name);
}

function scriptClass(name: string): string | undefined {
  const script = name
    .split(/[\s_-]/)
    .map((word) => word.slice(0, 1).toUpperCase() + word.slice(1).toLowerCase())
    .join('_');
  const source = `\\p{Script=${script}}`;
  try {
    return new RegExp(source, 'v').source;
  } catch {
    return undefined;
  }
}
