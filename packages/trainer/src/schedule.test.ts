import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { ScheduleName, ScheduleOptions } from './schedule.js';
import { checkSchedule, learningRateAt, warmupSteps } from './schedule.js';

interface Golden {
  cases: {
    schedule: ScheduleName;
    warmup: number;
    steps: number;
    options: Partial<ScheduleOptions>;
    values: number[];
  }[];
  warmups: { warmup: number; steps: number; value: number }[];
}

const golden = JSON.parse(
  readFileSync(new URL('../../../parity/golden/schedule.json', import.meta.url), 'utf8'),
) as Golden;

test.each(golden.cases)(
  '$schedule, $warmup of $steps steps of warmup, $options, is what transformers computes',
  ({ schedule, warmup, steps, options, values }) => {
    checkSchedule({ schedule, warmup, steps, learningRate: 1, ...options });
    const rates = values.map((_, at) =>
      learningRateAt(at + 1, { schedule, warmup, steps, learningRate: 1, ...options }),
    );
    rates.forEach((rate, at) => expect(rate).toBeCloseTo(values[at] ?? NaN, 14));
  },
);

test.each(golden.warmups)('a warmup of $warmup of $steps steps is $value steps', ({ warmup, steps, value }) => {
  expect(warmupSteps({ warmup, steps })).toBe(value);
});

test('options that are left out have their defaults', () => {
  const rate = (step: number, options: Partial<ScheduleOptions>): number =>
    learningRateAt(step, { learningRate: 1, steps: 20, ...options });
  expect(rate(21, { schedule: 'cosine_with_min_lr' })).toBeCloseTo(0.1, 12);
  expect([18, 19, 20].map((step) => rate(step, { schedule: 'warmup_stable_decay' }))).toEqual([1, 1, 0.5]);
  expect(rate(20, { schedule: 'warmup_stable_decay', warmup: 20 })).toBeCloseTo(0.95, 12);
  expect(rate(3, { warmup: 0.25 })).toBeCloseTo(0.4, 12);
});

test('the rate scales the schedule', () => {
  expect(learningRateAt(3, { schedule: 'linear', warmup: 4, steps: 10, learningRate: 0.02 })).toBeCloseTo(0.01, 15);
});

test.each<[string, Partial<ScheduleOptions>]>([
  ['schedule', { schedule: 'cubic' as ScheduleName }],
  ['learning rate', { learningRate: NaN }],
  ['learning rate', { learningRate: -1 }],
  ['warmup', { warmup: 1.5 }],
  ['warmup', { warmup: -0.5 }],
  ["cycles with schedule 'cosine'", { schedule: 'cosine', cycles: 2 }],
  ['decaySteps', { schedule: 'warmup_stable_decay', decaySteps: 4, warmup: 2 }],
  ['minLearningRateRatio', { schedule: 'cosine_with_min_lr', minLearningRateRatio: 2 }],
  ['steps', { steps: 0 }],
])('a bad %s is told by name: %o', (name, part) => {
  const options: ScheduleOptions = { schedule: 'constant', learningRate: 1e-3, warmup: 0, steps: 5, ...part };
  expect(() => checkSchedule(options)).toThrow(name);
});
