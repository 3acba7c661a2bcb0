import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { LowrankError } from '@lowrank/errors';
import type { StudyRun } from '../runs/studyRun.js';

/**
 * A run on its way to another machine, with digests of its data files, so that no worker trains on other files of the
 * same name.
 */
export interface QueuedRun {
  readonly run: StudyRun;
  /** SHA-256 by path. */
  readonly files: Readonly<Record<string, string>>;
}

/**
 * @throws LowrankError `queue.credentials` where an address holds what is not for everyone who reads Redis
 */
export async function queuedRun(run: StudyRun, digests = new Map<string, string>()): Promise<QueuedRun> {
  const { model, initAdapter } = run.training;
  for (const place of [model, initAdapter ?? model]) checkPublic(place);
  const files: Record<string, string> = {};
  for (const path of dataFiles(run)) {
    files[path] = await digestOf(path, digests);
  }
  return { run, files };
}

/** User and password of an address, or its query, which may be a signature, do not travel through Redis. */
function checkPublic(place: string): void {
  if (!/^https?:\/\//.test(place) || !URL.canParse(place)) return;
  const { username, password, search, origin, pathname, protocol, host } = new URL(place);
  if (username === '' && password === '' && search === '') return;
  throw new LowrankError({
    code: 'queue.credentials',
    what: `the address ${origin}${pathname} of a run for the queue`,
    expected: 'one without user, password and query, which everyone who reads Redis would learn',
    got: search === '' ? 'one with user and password' : 'one with a query, which may be a signature',
    remedy:
      search === ''
        ? `Leave them out, and set LOWRANK_URL_CREDENTIALS=${protocol}//user:password@${host} here and for each worker.`
        : 'Download the model into a folder that all machines see under the same path.',
  });
}

/**
 * Refuses what a study would not have handed out: Redis holds whatever was written into it.
 *
 * @throws {LowrankError} queue.job
 */
export function checkQueuedRun(queued: unknown): asserts queued is QueuedRun {
  const refuse = (what: string, expected: string): LowrankError =>
    new LowrankError({
      code: 'queue.job',
      what: `${what} of a run in the queue`,
      expected,
      got: 'something else',
      remedy: 'Something other than Lowrank writes into this Redis.',
    });
  const run = isRecord(queued) ? queued['run'] : undefined;
  if (!isRecord(queued) || !isRecord(run)) throw refuse('the payload', 'a run');
  const { label, purpose, training, scoring } = run;
  if (typeof label !== 'string' || label.length > 1000 || /\p{Cc}/u.test(label))
    throw refuse('the label', 'a line of text');
  if (purpose !== 'tune' && purpose !== 'score') throw refuse('the purpose', 'tune or score');
  if (!isRecord(training) || !isRecord(scoring)) throw refuse('the settings', 'training and scoring');
  const { model, data, template, initAdapter } = training;
  for (const place of [model, initAdapter ?? model])
    if (typeof place !== 'string') throw refuse('the model', 'a folder, hub id or URL');
  for (const path of [data, scoring['data'], template ?? data])
    if (typeof path !== 'string' || !isAbsolute(path)) throw refuse('a data file', 'an absolute path');
  const { metrics } = scoring;
  if (!Array.isArray(metrics) || !metrics.every((metric) => typeof metric === 'string'))
    throw refuse('the metrics', 'a list of names');
  const files = queued['files'];
  if (!isRecord(files) || !Object.values(files).every((digest) => /^[0-9a-f]{64}$/.test(String(digest))))
    throw refuse('the files', 'their SHA-256 by path');
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Checks that this machine has what a run names: its folders, and its data files with the same contents.
 *
 * @throws {LowrankError} queue.unfit, which hands the run back and ends the worker
 */
export async function checkFit({ run, files }: QueuedRun, digests = new Map<string, string>()): Promise<void> {
  const unfit = (path: string, expected: string, got: string): LowrankError =>
    new LowrankError({
      code: 'queue.unfit',
      what: `${path}, which the run ${run.label} reads`,
      expected,
      got,
      remedy:
        'Put it under this path on every machine (in a shared folder, for example), or name models by their hub id.',
    });
  const { model, initAdapter } = run.training;
  for (const path of [model, ...(initAdapter === undefined ? [] : [initAdapter]), ...Object.keys(files)]) {
    // Anything but an absolute path is a hub id or a URL.
    if (isAbsolute(path) && (await stat(path).catch(() => undefined)) === undefined)
      throw unfit(path, 'it on this machine', 'no such file or folder');
  }
  for (const [path, expected] of Object.entries(files)) {
    const digest = await digestOf(path, digests);
    if (digest !== expected)
      throw unfit(
        path,
        `the contents that the study has (SHA-256 ${expected.slice(0, 12)}…)`,
        `${digest.slice(0, 12)}…`,
      );
  }
}

function dataFiles({ training, scoring }: StudyRun): string[] {
  return [...new Set([training.data, scoring.data, ...(training.template === undefined ? [] : [training.template])])];
}

/** Reads a file once, and again when its size or time has changed: files may change while a worker waits. */
async function digestOf(path: string, digests: Map<string, string>): Promise<string> {
  const found = await stat(path);
  const { size, mtimeMs } = found;
  // A pipe or a device may have no end.
  if (!found.isFile()) {
    throw new LowrankError({ code: 'queue.job', what: path, expected: 'a file', got: 'something else' });
  }
  const key = `${path} ${size} ${mtimeMs}`;
  const known = digests.get(key);
  if (known !== undefined) return known;
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
  const digest = hash.digest('hex');
  digests.set(key, digest);
  return digest;
}
