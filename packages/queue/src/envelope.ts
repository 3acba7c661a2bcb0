import { LowrankError, printable } from '@lowrank/errors';
import type { FilesLeft, FilesSent } from './files.js';
import { isFiles } from './files.js';
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

/** Why a run failed, as it travels through the queue. */
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

/** What is wrong with a job that no distributor made; undefined where its data are of the right form. */
export function badJob(data: unknown): LowrankError | undefined {
  const { protocol: form, version, payload } = fieldsOf(data);
  if (typeof form === 'number' && typeof version === 'string' && typeof payload === 'string') return undefined;
  return new LowrankError({
    code: 'queue.job',
    what: 'the data of a job in the queue',
    expected: 'those of a run',
    got: typeof data === 'object' && data !== null ? 'other fields' : typeof data,
    remedy: 'Something other than Lowrank writes into this Redis.',
  });
}

/** How a job ended, as a worker wrote it down; undefined where it is of another form. */
export function readEnd(value: unknown, jobId: string): JobEnd | undefined {
  const { protocol: form, worker, takeovers, result } = fieldsOf(value);
  if (form !== protocol || typeof worker !== 'string' || typeof takeovers !== 'number') return undefined;
  const { status, error, value: text, files } = fieldsOf(result);
  if (status === 'failed') {
    const { code, message } = fieldsOf(error);
    if (typeof code !== 'string' || typeof message !== 'string') return undefined;
    const said: RunError = { code: nameOf(code), message: sentenceOf(message) };
    return { protocol, worker: nameOf(worker), takeovers, result: { status, error: said } };
  }
  if (status !== 'done' || typeof text !== 'string') return undefined;
  if (files !== undefined && !isFiles(files, jobId)) return undefined;
  const left = files?.kind === 'left' ? shownFiles(files) : files;
  return { protocol, worker: nameOf(worker), takeovers, result: { status, value: text, files: left } };
}

/** Where files stayed, as it may be shown. */
function shownFiles(files: FilesLeft): FilesLeft {
  return { ...files, host: nameOf(files.host), path: nameOf(files.path), reason: sentenceOf(files.reason) };
}

/** What a worker says on its way; undefined where it is of another form. */
export function readReport(value: unknown): JobReport | undefined {
  const { type, worker, takeovers, value: text, message } = fieldsOf(value);
  if (type === 'progress') return typeof text === 'string' ? { type, value: text } : undefined;
  if (typeof worker !== 'string') return undefined;
  const name = nameOf(worker);
  if (type === 'started') return typeof takeovers === 'number' ? { type, worker: name, takeovers } : undefined;
  if (type === 'refused')
    return typeof message === 'string' ? { type, worker: name, message: sentenceOf(message) } : undefined;
  return type === 'handedBack' ? { type, worker: name } : undefined;
}

/**
 * A name or a sentence of Redis, fit for a terminal and a table: what wrote it there need not be a worker. Control
 * characters become escapes, a name has one line.
 */
const nameOf = (text: string): string => printable(text.slice(0, 200)).replace(/[\n\t]/g, ' ');
const sentenceOf = (text: string): string => printable(text.slice(0, 4000));

const fieldsOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};

/** What the study learns of a run that failed. */
export function runError(error: unknown): RunError {
  if (!(error instanceof Error)) return { code: 'internal', message: String(error) };
  return { code: 'code' in error && typeof error.code === 'string' ? error.code : 'internal', message: error.message };
}
