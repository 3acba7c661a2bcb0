import { LowrankError } from '@lowrank/errors';

export const schedules = ['constant', 'linear', 'cosine'] as const;
export type ScheduleName = (typeof schedules)[number];

export interface ScheduleOptions {
  readonly schedule: ScheduleName;
  /** The rate at the end of the warmup. */
  readonly learningRate: number;
  /** Optimizer steps over which the rate rises from 0. */
  readonly warmup: number;
  /** Optimizer steps in all: where linear and cosine reach 0. */
  readonly steps: number;
}

/**
 * The learning rate of optimizer step `step`, counted from 1, with s = step − 1, w = warmup, n = steps:
 *   s < w: lr·s/w, so that the first step of a warmup has rate 0; after it, with p = (s − w)/(n − w),
 *   constant: lr; linear: lr·(1 − p); cosine: lr·½(1 + cos πp).
 * These are the formulas of transformers' get_*_schedule_with_warmup.
 */
export function learningRateAt(step: number, { schedule, learningRate, warmup, steps }: ScheduleOptions): number {
  const done = step - 1;
  if (done < warmup) return (learningRate * done) / Math.max(1, warmup);
  const progress = (done - warmup) / Math.max(1, steps - warmup);
  if (schedule === 'linear') return learningRate * Math.max(0, (steps - done) / Math.max(1, steps - warmup));
  if (schedule === 'cosine') return learningRate * Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress)));
  return learningRate;
}

/** @throws LowrankError `trainer.schedule` for numbers that make no schedule */
export function checkSchedule({ schedule, learningRate, warmup, steps }: ScheduleOptions): void {
  const fail = (what: string, expected: string, got: unknown): never => {
    throw new LowrankError({ code: 'trainer.schedule', what, expected, got: String(got) });
  };
  if (!schedules.includes(schedule)) fail('schedule', schedules.join(', '), schedule);
  if (!(Number.isFinite(learningRate) && learningRate >= 0))
    fail('the learning rate', 'a finite number of at least 0', learningRate);
  if (!(Number.isSafeInteger(warmup) && warmup >= 0)) fail('the warmup', 'a whole number of steps, at least 0', warmup);
  if (!(Number.isSafeInteger(steps) && steps >= 1)) fail('steps', 'a whole number of at least 1', steps);
}
