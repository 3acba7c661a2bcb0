import { expect, expectTypeOf, test } from 'vitest';
import { parseOptions } from './parseOptions.js';
import { accepts } from './parseValues.js';
import { tested } from './testing.js';

const names = ['a'];

test('defaults are filled in, another’s value among them, and the types follow', () => {
  const parsed = parseOptions(tested, { names, rank: 4 });
  expect(parsed).toEqual({ names, rank: 4, alpha: 4, ranks: {}, shuffle: true });
  expectTypeOf(parsed.rank).toEqualTypeOf<number>();
  expectTypeOf(parsed.mode).toEqualTypeOf<'one' | 'two' | undefined>();
  expectTypeOf(parsed.names).toEqualTypeOf<readonly string[]>();
});

test.each<[object, string]>([
  [{ rank: 0 }, 'the setting rank: expected a whole number of at least 1, got 0'],
  [{ rank: 2.5 }, 'the setting rank: expected a whole number of at least 1, got 2.5'],
  [{ rank: '8' }, 'the setting rank: expected a whole number of at least 1, got 8'],
  [{ alpha: NaN }, 'the setting alpha: expected a number above 0, got NaN'],
  [{ speed: 1, fast: true }, 'the setting speed: expected a number of at least 0 and below 1, got 1'],
  [{ mode: 'three' }, 'the setting mode: expected one, two, got three'],
  [{ ranks: { q: 0 } }, 'the setting ranks[q]: expected a whole number of at least 1, got 0'],
  [{ names: ['a', ''] }, 'the setting names[1]: expected a text, got nothing'],
  [{ names: undefined }, 'the setting names: expected a list of names, got nothing'],
  [{ fast: 'yes' }, 'the setting fast: expected true or false, got yes'],
  [{ rnak: 1 }, 'the setting rnak: expected rank, got rnak'],
  [{ size: 1 }, 'the setting size: expected rank, got size'],
  [{ fast: true, mode: 'two' }, "fast with mode 'two': expected one of the two, got both. Leave fast out."],
  [{ speed: 0.5 }, 'speed: expected fast with it, got no fast. Be fast first.'],
])('%j is refused', (given, message) => {
  expect(() => parseOptions(tested, { names, ...given })).toThrow(
    expect.objectContaining({ message, code: 'test.config' }) as Error,
  );
});

test('a name that is near to none is told all of them; a switch that is off excludes nothing', () => {
  expect(() => parseOptions(tested, { names, quux: 1 } as { names: string[] })).toThrow(/expected one of rank, alpha/);
  expect(parseOptions(tested, { names, fast: false, mode: 'two' })).toMatchObject({ mode: 'two' });
});

test('what a setting takes', () => {
  expect(accepts(tested.settings.mode, 'two')).toBe(true);
  expect(accepts(tested.settings.mode, 'three')).toBe(false);
});
