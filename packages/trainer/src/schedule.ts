import { LowrankError } from '@lowrank/errors';

/** How the learning rate goes over the steps, as transformers' `get_scheduler` has it. */
export interface ScheduleOptions {
  /** Default: constant. */
  readonly schedule?: ScheduleName | undefined;
  /** The rate at the end of the warmup. */
  readonly learningRate: number;
  /** Optimizer steps over which the rate rises from 0; below 1, a share of `steps`, rounded up. Default 0. */
  readonly warmup?: number | undefined;
  /** Optimizer steps in all: where most schedules end. */
  readonly steps: number;
  /** The lowest rate as a share of `learningRate`: `cosine_with_min_lr` (default 0.1), `warmup_stable_decay` (0). */
  readonly minLearningRateRatio?: number | undefined;
  /** How often `cosine_with_restarts` falls from the full rate to 0. Default 1. */
  readonly cycles?: number | undefined;
  /** The last steps of `warmup_stable_decay`, over which the rate falls; below 1, a share of `steps`. Default 0.1. */
  readonly decaySteps?: number | undefined;
}

/** A schedule at s steps done, of n, after w of warmup. All numbers are there. */
interface Place {
  /** At least w: the warmup is the same for all. */
  readonly s: number;
  readonly w: number;
  readonly n: number;
  /** (s − w)/(n − w) */
  readonly progress: number;
  readonly minimum: number;
  readonly cycles: number;
  readonly decay: number;
}

interface Schedule {
  /** What its name alone does not say, for help. */
  readonly help?: string;
  /** The options that it takes beside those of all, with their defaults. */
  readonly takes?: Pick<ScheduleOptions, 'minLearningRateRatio' | 'cycles' | 'decaySteps'>;
  /** The share of the learning rate. */
  readonly factor: (place: Place) => number;
}

const cosine = (progress: number): number => 0.5 * (1 + Math.cos(Math.PI * progress));
const above = (factor: number, minimum: number): number => factor * (1 - minimum) + minimum;

/** transformers' schedules, by its names: a line each, and the golden that `parity/goldenSchedule.py` makes of it. */
const registry = {
  constant: { factor: () => 1 },
  linear: { factor: ({ s, w, n }) => Math.max(0, (n - s) / Math.max(1, n - w)) },
  cosine: { factor: ({ progress }) => Math.max(0, cosine(progress)) },
  cosine_with_min_lr: {
    takes: { minLearningRateRatio: 0.1 },
    factor: ({ progress, minimum }) => Math.max(0, above(cosine(progress), minimum)),
  },
  cosine_with_restarts: {
    takes: { cycles: 1 },
    factor: ({ progress, cycles }) => (progress >= 1 ? 0 : Math.max(0, cosine((cycles * progress) % 1))),
  },
  warmup_stable_decay: {
    help: 'WSD: constant, at the end a cosine',
    takes: { decaySteps: 0.1, minLearningRateRatio: 0 },
    factor({ s, n, decay, minimum }) {
      if (s < n - decay) return 1;
      return s < n ? Math.max(0, above(cosine((s - (n - decay)) / Math.max(1, decay)), minimum)) : minimum;
    },
  },
  inverse_sqrt: {
    help: '√(warmup/step), with 10,000 in place of no warmup',
    factor({ s, w }) {
      const scale = w === 0 ? 10_000 : w;
      return 1 / Math.sqrt((s + scale - w) / scale);
    },
  },
} as const satisfies Readonly<Record<string, Schedule>>;

/** A schedule by transformers' name for `lr_scheduler_type`. */
export type ScheduleName = keyof typeof registry;

/** The schedules, in the order in which help lists them. */
export const schedules = Object.keys(registry) as readonly ScheduleName[] as readonly [ScheduleName, ...ScheduleName[]];

export function describeSchedule(name: ScheduleName): string {
  const { help }: Schedule = registry[name];
  return help === undefined ? name : `${name} (${help})`;
}

/**
 * The learning rate of optimizer step `step`, counted from 1, with s = step − 1, w = warmup, n = steps: in the warmup,
 * s < w, lr·s/w, so that its first step has rate 0; after it lr times the schedule's factor. The formulas of
 * transformers' get_*_schedule*.
 */
export function learningRateAt(step: number, options: ScheduleOptions): number {
  const { schedule = 'constant', learningRate, steps: n } = options;
  const { takes = {}, factor }: Schedule = registry[schedule];
  const [s, w] = [step - 1, warmupSteps(options)];
  const { minLearningRateRatio: minimum = 0, cycles = 1 } = { ...takes, ...givenOf(options) };
  if (s < w) return learningRate * above(s / Math.max(1, w), schedule === 'warmup_stable_decay' ? minimum : 0);
  const progress = (s - w) / Math.max(1, n - w);
  return learningRate * factor({ s, w, n, progress, minimum, cycles, decay: decayOf(options, w) });
}

/** The warmup in steps: below 1 it is a share of all. */
export function warmupSteps({ warmup = 0, steps }: Pick<ScheduleOptions, 'warmup' | 'steps'>): number {
  return stepsOf(warmup, steps);
}

function stepsOf(count: number, steps: number): number {
  return count < 1 ? Math.ceil(steps * count) : count;
}

function decayOf({ decaySteps, steps }: ScheduleOptions, warmup: number): number {
  return decaySteps === undefined ? Math.min(stepsOf(0.1, steps), steps - warmup) : stepsOf(decaySteps, steps);
}

const own = ['minLearningRateRatio', 'cycles', 'decaySteps'] as const;

function givenOf(options: ScheduleOptions): NonNullable<Schedule['takes']> {
  return Object.fromEntries(own.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]])));
}

/** @throws LowrankError `trainer.schedule` for numbers that make no schedule */
export function checkSchedule(options: ScheduleOptions): void {
  const { schedule = 'constant', learningRate, warmup = 0, steps } = options;
  const fail = (what: string, expected: string, got: unknown): never => {
    throw new LowrankError({ code: 'trainer.schedule', what, expected, got: String(got) });
  };
  if (!Object.hasOwn(registry, schedule)) fail('schedule', schedules.join(', '), schedule);
  if (!(Number.isFinite(learningRate) && learningRate >= 0))
    fail('the learning rate', 'a finite number of at least 0', learningRate);
  const isCount = (value: number): boolean => (value >= 0 && value < 1) || (Number.isSafeInteger(value) && value >= 1);
  const count = 'a whole number of steps, or a share of them below 1';
  if (!isCount(warmup)) fail('the warmup', count, warmup);
  if (!(Number.isSafeInteger(steps) && steps >= 1)) fail('steps', 'a whole number of at least 1', steps);
  checkTaken(schedule, options);
  const { minLearningRateRatio = 0, cycles = 1, decaySteps = 0 } = options;
  if (!(minLearningRateRatio >= 0 && minLearningRateRatio <= 1))
    fail('minLearningRateRatio', 'a number from 0 to 1', minLearningRateRatio);
  if (!(Number.isSafeInteger(cycles) && cycles >= 1)) fail('cycles', 'a whole number of at least 1', cycles);
  if (!isCount(decaySteps)) fail('decaySteps', count, decaySteps);
  const room = steps - warmupSteps(options);
  if (stepsOf(decaySteps, steps) > room) fail('decaySteps', `at most the ${room} steps after the warmup`, decaySteps);
}

function checkTaken(schedule: ScheduleName, options: ScheduleOptions): void {
  const { takes = {} }: Schedule = registry[schedule];
  for (const name of Object.keys(givenOf(options)) as (typeof own)[number][]) {
    if (Object.hasOwn(takes, name)) continue;
    const takers = schedules.filter((other) => {
      const { takes: theirs = {} }: Schedule = registry[other];
      return Object.hasOwn(theirs, name);
    });
    throw new LowrankError({
      code: 'trainer.schedule',
      what: (names) => `${names(name)} with ${names('schedule', schedule)}`,
      expected: 'one of the two',
      got: 'both',
      remedy: (names) => `Leave ${names(name)} out, or use ${names('schedule', takers.join(' or '))}.`,
      setting: name,
    });
  }
}
