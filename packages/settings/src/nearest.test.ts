import { expect, test } from 'vitest';
import { editDistance, nearestName } from './nearest.js';

test.each([
  ['rank', 'rank', 0],
  ['rnak', 'rank', 1],
  ['kitten', 'sitting', 3],
  ['', 'abc', 3],
])('%s → %s', (one, other, distance) => expect(editDistance(one, other)).toBe(distance));

test('spelling apart, a name is what it is; nothing is better than a wild guess', () => {
  const known = ['learningRate', 'alpha', 'steps'];
  expect(nearestName('learning_rate', known)).toBe('learningRate');
  expect(nearestName('learningRates', known)).toBe('learningRate');
  expect(nearestName('lr', known, (name) => (name === 'learningRate' ? ['lr'] : undefined))).toBe('learningRate');
  expect(nearestName('warmup', known)).toBeUndefined();
});
