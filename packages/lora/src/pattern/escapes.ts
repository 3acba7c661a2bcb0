import type { CharacterTest } from './characters.js';
import { classTest } from './characters.js';
import type { PatternReader } from './reader.js';
import type { PatternPlace, Syntax } from './syntax.js';

const controls: Readonly<Record<string, number>> = { a: 7, f: 12, n: 10, r: 13, t: 9, v: 11, '\\': 92 };
const places: Readonly<Record<string, PatternPlace>> = { A: 'start', Z: 'end', b: 'wordEdge', B: 'noWordEdge' };
const hexadecimal: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

/** What follows a backslash, outside of a set. */
export function parseEscape(reader: PatternReader): Syntax {
  const letter = reader.take('bad escape (end of pattern)');
  const place = places[letter];
  if (place !== undefined) return { type: 'place', place, ascii: reader.flags.ascii };
  if (/[wdsWDS]/.test(letter)) return reader.tested(classTest(letter, reader.flags.ascii));
  if (/[1-9]/.test(letter)) return reference(reader, letter);
  return reader.literal(code(reader, letter));
}

/** The same within a set. */
export function parseSetEscape(reader: PatternReader): number | CharacterTest {
  const letter = reader.take('bad escape (end of pattern)');
  if (letter === 'b') return 8;
  return /[wdsWDS]/.test(letter) ? classTest(letter, reader.flags.ascii) : code(reader, letter);
}

function code(reader: PatternReader, letter: string): number {
  const control = controls[letter];
  if (control !== undefined) return control;
  const digits = hexadecimal[letter];
  if (digits !== undefined) return hexCode(reader, letter, digits);
  if (letter === 'N') throw reader.error('\\N{…}, characters by name, which Lowrank does not have');
  if (/[0-7]/.test(letter)) return octal(reader, letter);
  if (/[a-zA-Z0-9]/.test(letter)) throw reader.error(`bad escape \\${letter}`);
  return letter.codePointAt(0) ?? 0;
}

function hexCode(reader: PatternReader, letter: string, digits: number): number {
  const text = reader.while(/[0-9a-fA-F]/, digits);
  const value = Number.parseInt(text, 16);
  if (text.length < digits || value > 0x10ffff) throw reader.error(`bad escape \\${letter}${text}`);
  return value;
}

/** `\0` and up to two more digits; within a set three of them. */
function octal(reader: PatternReader, first: string): number {
  const value = Number.parseInt(first + reader.while(/[0-7]/, 2), 8);
  if (value > 0o377) throw reader.error('octal escape value outside of range 0-0o377');
  return value;
}

/** A group that was matched before, by its number; three octal digits are a character. */
function reference(reader: PatternReader, first: string): Syntax {
  const start = reader.at;
  const digits = first + reader.while(/[0-9]/, 2);
  if (/^[0-3][0-7]{2}$/.test(digits)) return reader.literal(Number.parseInt(digits, 8));
  if (/^[4-7][0-7]{2}$/.test(digits)) throw reader.error('octal escape value outside of range 0-0o377');
  reader.at = start;
  const index = Number(first + reader.while(/[0-9]/, 1));
  return referenceTo(reader, index);
}

/** A reference to a group that is closed. */
export function referenceTo(reader: PatternReader, index: number): Syntax {
  if (index > reader.groups) throw reader.error(`invalid group reference ${index}`);
  if (reader.open.has(index)) throw reader.error('cannot refer to an open group');
  return { type: 'reference', index, ignoreCase: reader.flags.ignoreCase };
}
