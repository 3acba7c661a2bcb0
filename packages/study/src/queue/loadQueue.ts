import { LowrankError } from '@lowrank/errors';
import type * as QueuePackage from '@lowrank/queue';

/**
 * Loads `@lowrank/queue`, an optional peer that only studies over several machines need.
 *
 * @throws {LowrankError} queue.missing
 */
export async function loadQueue(): Promise<typeof QueuePackage> {
  try {
    return await import('@lowrank/queue');
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'ERR_MODULE_NOT_FOUND')) throw cause;
    throw new LowrankError({
      code: 'queue.missing',
      what: '--queue',
      expected: 'the package @lowrank/queue',
      got: 'none that is installed',
      remedy: 'Install it next to lowrank: npm install @lowrank/queue',
      cause,
    });
  }
}
