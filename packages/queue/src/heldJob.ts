import { isLowrankError, LowrankError } from '@lowrank/errors';
import { Job } from 'bullmq';
import type { Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { runOf } from './address.js';
import type { JobData, JobEnd } from './envelope.js';
import { keyPrefix, queueName } from './settings.js';

/** A job that a worker has locked. */
export interface Held {
  readonly job: Job<JobData, JobEnd>;
  readonly token: string;
  readonly study: string;
  readonly id: string;
  /** Why it is no run: nothing of it is used. */
  readonly bad?: LowrankError | undefined;
}

/** A job with the names in its id; bad where nobody gave it such an id. */
export function heldJob(job: Job<JobData, JobEnd>, jobId: string, token: string): Held {
  try {
    const { study, run } = runOf(jobId);
    return { job, token, study, id: run };
  } catch (error) {
    if (!isLowrankError(error)) throw error;
    return { job, token, study: '', id: jobId.slice(0, 100).replace(/\p{Cc}/gu, '?'), bad: error };
  }
}

interface Unreadable {
  readonly bull: Worker<JobData, JobEnd>;
  readonly client: Redis;
  readonly token: string;
  /** What reading it ended with. */
  readonly error: unknown;
}

/**
 * The job that BullMQ has locked with a token and then could not read, so that it can be ended; undefined where there
 * is none.
 */
export async function unreadableJob({ bull, client, token, error }: Unreadable): Promise<Held | undefined> {
  const home = `${keyPrefix}:${queueName}`;
  for (const id of await client.lrange(`${home}:active`, 0, 999)) {
    if ((await client.get(`${home}:${id}:lock`).catch(() => undefined)) !== token) continue;
    const data = { protocol: 0, version: '', payload: '' };
    const job = new Job<JobData, JobEnd>(bull, 'run', data, { attempts: 1 }, id);
    const bad = new LowrankError({
      code: 'queue.job',
      what: 'the data of a job in the queue',
      expected: 'those of a run',
      got: error instanceof Error ? error.message.slice(0, 100) : 'others',
      remedy: 'Something other than Lowrank writes into this Redis.',
    });
    return { ...heldJob(job, id, token), bad };
  }
  return undefined;
}
