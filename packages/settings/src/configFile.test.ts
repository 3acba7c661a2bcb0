import { expect, test } from 'vitest';
import { configWarnings, readConfig, writeConfig } from './configFile.js';
import { parseOptions } from './parseOptions.js';
import { tested } from './testing.js';

const read = (json: Record<string, unknown>): unknown =>
  readConfig(tested, json, { file: 'config.json', typeCode: 'test.file' });

test('keys both ways: sorted, unset ones as the file has them, omitted ones only where they are on', () => {
  const options = parseOptions(tested, { names: ['b', 'a'], ranks: { z: 1, a: 2 } });
  const json = writeConfig(tested, options, { kind: 'TEST' });
  expect(JSON.stringify(json)).toBe(
    '{"kind":"TEST","lora_alpha":8,"mode":"one","names":["b","a"],"r":8,"ranks":{"z":1,"a":2},"shuffle":true}',
  );
  expect(writeConfig(tested, { ...options, fast: true })).toMatchObject({ fast: true });
  expect(read({ ...json, fast: false, shuffle: false })).toEqual({
    shuffle: false,
    rank: 8,
    alpha: 8,
    names: ['b', 'a'],
    ranks: { z: 1, a: 2 },
    mode: 'one',
  });
});

test.each<[object, string, string]>([
  [{ r: '8' }, 'test.file', 'r in config.json: expected a whole number of at least 1, got "8"'],
  [{ r: 0 }, 'test.config', 'r in config.json: expected a whole number of at least 1, got 0'],
  [{ names: null }, 'test.file', 'names in config.json: expected a list of names, got null'],
  [{ ranks: { q: 'x' } }, 'test.file', 'ranks[q] in config.json: expected a whole number of at least 1'],
  [{ other_method: [1] }, 'test.file', 'other_method in config.json: expected a setting that Lowrank supports (off)'],
])('%j is refused', (given, code, message) => {
  expect(() => read({ names: ['a'], ...given })).toThrow(
    expect.objectContaining({ code, message: expect.stringContaining(message) as string }) as Error,
  );
});

test('what is left aside is told once, with the reason', () => {
  expect(configWarnings(tested, { r: 8, version: 1, begun: { a: 1 }, other: 2, off: {} }, 'here')).toEqual([
    'here: begun = {"a":1} is ignored: it says how it began, and nothing follows from it.',
    'here: other = 2 is ignored: Lowrank does not know it. If it changes what the adapter computes, results ' +
      'will differ.',
  ]);
});
