import { LowrankError } from '@lowrank/errors';

/** All keys in Redis begin with this. */
export const keyPrefix = 'lowrank';
/** The one queue of all studies: a worker takes whatever comes next. */
export const queueName = 'runs';
/** The form of what lies in Redis. Raised when an older worker or distributor could not read it. */
export const protocol = 1;

/** How long things may take, in milliseconds. Every member of a study's queue wants the same values. */
export interface Timing {
  /** A worker that has not been heard of for this long has lost its run. */
  readonly lock: number;
  /**
   * How often workers look for lost runs. A lost run is taken over at most `lock + stalledCheck` after its worker was
   * last heard of.
   */
  readonly stalledCheck: number;
  /**
   * A worker whose main thread has not drawn breath for this long counts as hung, and its run as lost: longer than any
   * one step.
   */
  readonly hung: number;
  /** How long a connection may be lost before a worker or distributor gives up. */
  readonly giveUp: number;
  /** How long a study waits for a worker before it says that there is none. */
  readonly unattended: number;
  /** For how long a worker leaves a run of another version to those that know it, before it looks at it again. */
  readonly leave: number;
  /** How long unfetched results stay in Redis. */
  readonly keep: number;
}

const second = 1000;

/** A killed worker's run is taken over within 27 s. */
export const defaultTiming: Timing = {
  lock: 20 * second,
  stalledCheck: 5 * second,
  hung: 15 * 60 * second,
  giveUp: 5 * 60 * second,
  unattended: 10 * second,
  leave: 30 * second,
  keep: 7 * 24 * 3600 * second,
};

/** A run whose workers were lost more often than this ends as failed. */
export const defaultTakeovers = 3;
/** Files of a run that are larger together than this stay with the worker. */
export const defaultFileLimit = 64 * 2 ** 20;

export function timingOf(given: Partial<Timing> | undefined): Timing {
  const timing = { ...defaultTiming, ...given };
  for (const [name, value] of Object.entries(timing)) {
    if (!Number.isFinite(value) || value <= 0)
      throw new LowrankError({
        code: 'queue.timing',
        what: `timing.${name}`,
        expected: 'milliseconds above 0',
        got: String(value),
      });
  }
  return timing;
}
