import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { ScheduleName, ScheduleOptions } from './schedule.js';
import { checkSchedule, learningRateAt } from './schedule.js';

interface Golden {
  cases: { schedule: ScheduleName; warmup: number; steps: number; values: number[] }[];
}

const golden = JSON.parse(
  readFileSync(new URL('../../../parity/golden/schedule.json', import.meta.url), 'utf8'),
) as Golden;

test.each(golden.cases)(
  '$schedule, $warmup of $steps steps of warmup, is what transformers computes',
  ({ schedule, warmup, steps, values }) => {
    const rates = values.map((_, at) => learningRateAt(at + 1, { schedule, warmup, steps, learningRate: 1 }));
    rates.forEach((rate, at) => expect(rate).toBeCloseTo(values[at] ?? NaN, 14));
  },
);

test('the rate scales the schedule', () => {
  expect(learningRateAt(3, { schedule: 'linear', warmup: 4, steps: 10, learningRate: 0.02 })).toBeCloseTo(0.01, 15);
});

test.each<[string, Partial<ScheduleOptions>]>([
  ['schedule', { schedule: 'cubic' as ScheduleName }],
  ['learning rate', { learningRate: NaN }],
  ['learning rate', { learningRate: -1 }],
  ['warmup', { warmup: 1.5 }],
  ['steps', { steps: 0 }],
])('a bad %s is told by name: %o', (name, part) => {
  const options: ScheduleOptions = { schedule: 'constant', learningRate: 1e-3, warmup: 0, steps: 5, ...part };
  expect(() => checkSchedule(options)).toThrow(name);
});
