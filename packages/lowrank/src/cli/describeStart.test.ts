import { expect, test } from 'vitest';
import { describeStart } from './describeStart.js';

test('what is left to train: of a new run, of one that goes on, of one that is at its end', () => {
  const started = { type: 'started', trainedParameters: 8960, steps: 8, from: 0 } as const;
  expect(describeStart(started)).toBe('training 8,960 parameters for 8 steps');
  expect(describeStart({ ...started, steps: 1 })).toBe('training 8,960 parameters for 1 step');
  expect(describeStart({ ...started, from: 3 })).toBe('training 8,960 parameters for steps 4 to 8');
  expect(describeStart({ ...started, from: 7 })).toBe('training 8,960 parameters for step 8');
  expect(describeStart({ ...started, from: 8 })).toBe('all 8 steps were taken before: nothing is left to train');
});
