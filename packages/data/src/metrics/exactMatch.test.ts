import { expect, it } from 'vitest';
import { exactMatch } from './exactMatch.js';

it('looks past white space and nothing else', () => {
  expect(exactMatch.score('  a  b\n', ['x', 'a b'])).toBe(1);
  expect(exactMatch.score('A b', ['a b'])).toBe(0);
  expect(exactMatch.score('ab', ['a b'])).toBe(0);
  expect(exactMatch.score('a b', [])).toBe(0);
});
