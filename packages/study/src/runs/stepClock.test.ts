import { expect, it } from 'vitest';
import { StepClock } from './stepClock.js';

it('leaves out the first steps, and is not moved by one that was slow', () => {
  const clock = new StepClock();
  const add = (seconds: number): void => clock.add({ tokens: 100, tokensPerSecond: 100 / seconds });
  [9, 8].forEach(add);
  expect(clock.measured()).toEqual({ seconds_per_step: null, tokens_per_second: null });
  [0.1, 0.1, 0.2, 5, 0.2].forEach(add);
  const { seconds_per_step, tokens_per_second } = clock.measured();
  expect(seconds_per_step).toBeCloseTo(0.2);
  expect(tokens_per_second).toBeCloseTo(300 / 0.5);
});
