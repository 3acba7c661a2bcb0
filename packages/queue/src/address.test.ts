import { expect, test } from 'vitest';
import { jobIdOf, runOf } from './address.js';

test('any study and run have a name of their own, without colons', () => {
  const names = [
    ['a', 'b/c'],
    ['a/b', 'c'],
    ['a:b', 'lr=1e-4, r=8'],
    ['7', '8'],
  ].map(([study = '', run = '']) => ({ study, run }));
  const ids = names.map(({ study, run }) => jobIdOf(study, run));
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.join()).not.toContain(':');
  expect(ids.map(runOf)).toEqual(names);
});

test('an empty name and an endless one are refused', () => {
  expect(() => jobIdOf('', 'a')).toThrow(/id of a study.*got 0/);
  expect(() => jobIdOf('a', 'x'.repeat(257))).toThrow(/id of a run.*got 257/);
});

test('an id that no study gave is refused, whatever it holds', () => {
  const bad = [
    'a',
    '7',
    '/',
    'a/',
    '/b',
    'a/b/c',
    '%E0%A4%A',
    'a/%',
    'study/../victim',
    'a/b c',
    `a/${'x'.repeat(300)}`,
    '',
  ];
  for (const id of bad) expect(() => runOf(id)).toThrow(expect.objectContaining({ code: 'queue.id' }) as Error);
  // Any text is a name here: whoever makes a path of it checks it.
  expect(runOf('study/..%2Fvictim')).toEqual({ study: 'study', run: '../victim' });
});
