import { LowrankError } from '@lowrank/errors';
import type { FilesLeft, FilesSent } from './files.js';
import { protocol } from './settings.js';

/** What a job of the queue holds. */
export interface JobData {
  readonly protocol: number;
  /** Of what distributes and works: a worker of another version would compute something else. */
  readonly version: string;
  /** JSON of the caller's payload. */
  readonly payload: string;
}

/** What a job ends with. */
export interface JobEnd {
  readonly protocol: number;
  readonly worker: string;
  readonly takeovers: number;
  readonly result:
    | { readonly status: 'done'; readonly value: string; readonly files?: FilesSent | FilesLeft }
    | { readonly status: 'failed'; readonly error: RunError };
}

export interface RunError {
  readonly code: string;
  readonly message: string;
}

/** What a worker reports about its run, as BullMQ's progress. */
export type JobReport =
  | { readonly type: 'started'; readonly worker: string; readonly takeovers: number }
  | { readonly type: 'progress'; readonly value: string }
  | { readonly type: 'refused'; readonly worker: string; readonly message: string }
  | { readonly type: 'handedBack'; readonly worker: string };

export const jobData = (version: string, payload: string): JobData => ({ protocol, version, payload });

/** Whether a worker may take a job: it speaks the same protocol and is of the same version. */
export function misfit(data: JobData, version: string): LowrankError | undefined {
  const error = (what: string, expected: string, got: string): LowrankError =>
    new LowrankError({
      code: 'queue.version',
      what,
      expected,
      got,
      remedy: 'Install the same version on all machines.',
    });
  if (data.protocol !== protocol)
    return error("the form of the queue's runs", `${protocol}, which this worker reads`, String(data.protocol));
  if (data.version !== version)
    return error("the version of the queue's runs", `${version}, which this worker is`, String(data.version));
  return undefined;
}

/** What the study learns of a run that failed. */
export function runError(error: unknown): RunError {
  if (!(error instanceof Error)) return { code: 'internal', message: String(error) };
  return { code: 'code' in error && typeof error.code === 'string' ? error.code : 'internal', message: error.message };
}
