import { referenceTo } from './escapes.js';
import type { Flags, PatternReader } from './reader.js';
import type { Syntax } from './syntax.js';
import { widthOf } from './syntax.js';

/** Reads all up to the closing parenthesis, which it leaves. */
type Inner = () => Syntax;

const flagNames: Readonly<Record<string, keyof Flags>> = {
  i: 'ignoreCase',
  m: 'multiline',
  s: 'dotAll',
  x: 'verbose',
  a: 'ascii',
};

/**
 * What follows an opening parenthesis.
 *
 * @param first whether it begins the pattern, where flags for all of it stand
 * @param inner reads all up to the closing parenthesis
 */
export function parseOpening(reader: PatternReader, first: boolean, inner: Inner): Syntax[] {
  if (!reader.skip('?')) return [capturing(reader, inner)];
  if (reader.skip('P')) return [named(reader, inner)];
  if (reader.skip('#')) {
    while (!reader.skip(')')) reader.take('missing ), unterminated comment');
    return [];
  }
  if (reader.skip(':')) return [closed(reader, inner)];
  if (reader.skip('>')) return [{ type: 'atomic', item: closed(reader, inner) }];
  if (reader.skip('=')) return [look(reader, inner, { negative: false, behind: false })];
  if (reader.skip('!')) return [look(reader, inner, { negative: true, behind: false })];
  if (reader.skip('<=')) return [look(reader, inner, { negative: false, behind: true })];
  if (reader.skip('<!')) return [look(reader, inner, { negative: true, behind: true })];
  if (reader.skip('(')) throw reader.error('(?(…)…), a condition, which Lowrank does not have');
  return flagged(reader, first, inner);
}

/** All up to the closing parenthesis. Flags that change within hold within. */
function closed(reader: PatternReader, inner: Inner, flags: Flags = reader.flags): Syntax {
  const before = reader.flags;
  reader.flags = flags;
  const item = inner();
  reader.flags = before;
  if (!reader.skip(')')) throw reader.error('missing ), unterminated subpattern');
  return item;
}

function capturing(reader: PatternReader, inner: Inner): Syntax {
  const index = ++reader.groups;
  reader.open.add(index);
  const item = closed(reader, inner);
  reader.open.delete(index);
  return { type: 'group', item, index };
}

function named(reader: PatternReader, inner: Inner): Syntax {
  if (reader.skip('=')) {
    const name = reader.until(')');
    const index = reader.names.get(name);
    if (index === undefined) throw reader.error(`unknown group name '${name}'`);
    return referenceTo(reader, index);
  }
  if (!reader.skip('<')) throw reader.error('unknown extension ?P');
  const name = reader.until('>');
  if (!/^[\p{ID_Start}_][\p{ID_Continue}]*$/u.test(name)) throw reader.error(`bad character in group name '${name}'`);
  if (reader.names.has(name)) throw reader.error(`redefinition of group name '${name}'`);
  reader.names.set(name, reader.groups + 1);
  return capturing(reader, inner);
}

function look(
  reader: PatternReader,
  inner: Inner,
  { negative, behind }: { negative: boolean; behind: boolean },
): Syntax {
  const item = closed(reader, inner);
  if (!behind) return { type: 'look', item, negative, behind: undefined };
  const [least, most] = widthOf(item);
  if (least !== most) throw reader.error('look-behind requires fixed-width pattern');
  return { type: 'look', item, negative, behind: least };
}

function flagged(reader: PatternReader, first: boolean, inner: Inner): Syntax[] {
  const on = flagsOf(reader);
  const off = reader.skip('-') ? flagsOf(reader) : undefined;
  if (off !== undefined && (Object.keys(off).length === 0 || 'ascii' in off)) throw reader.error('missing flag');
  const changed = {
    ...reader.flags,
    ...on,
    ...Object.fromEntries(Object.keys(off ?? {}).map((flag) => [flag, false])),
  };
  if (reader.skip(':')) return [closed(reader, inner, changed)];
  if (off !== undefined || !reader.skip(')')) throw reader.error('unknown extension or flag');
  if (!first) throw reader.error('global flags not at the start of the expression');
  reader.flags = changed;
  return [];
}

function flagsOf(reader: PatternReader): Partial<Flags> {
  const letters = Array.from(reader.while(/[a-zA-Z]/));
  const odd = letters.find((letter) => letter !== 'u' && flagNames[letter] === undefined);
  if (odd !== undefined) throw reader.error(`unknown flag ${odd}`);
  if (letters.includes('a') && letters.includes('u'))
    throw reader.error("bad inline flags: 'a' and 'u' exclude another");
  return Object.fromEntries(letters.flatMap((letter) => (letter === 'u' ? [] : [[flagNames[letter], true]])));
}
