import { expect, test } from 'vitest';
import { torchMean } from './torchMean.js';
import { goldenJson } from '../testing.js';

test('the mean is PyTorch’s to the last bit', async () => {
  const { means } = await goldenJson<{ means: readonly { length: number; mean: number }[] }>('means.json');
  expect(means.length).toBeGreaterThan(20);
  // The golden's numbers, made again: a linear congruential generator over 2^32, in (0, 1].
  for (const { length, mean } of means) {
    let state = length;
    const values = Float32Array.from(
      { length },
      () => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) + 1) / 2 ** 32,
    );
    expect([length, torchMean(values)]).toEqual([length, mean]);
  }
});
