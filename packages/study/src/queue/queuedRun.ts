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

export async function queuedRun(run: StudyRun, digests = new Map<string, string>()): Promise<QueuedRun> {
  const files: Record<string, string> = {};
  for (const path of dataFiles(run)) {
    files[path] = await digestOf(path, digests);
  }
  return { run, files };
}

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
      remedy: 'Put it under this very path on every machine (a shared folder does it), or name models by their hub id.',
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
  const { size, mtimeMs } = await stat(path);
  const key = `${path} ${size} ${mtimeMs}`;
  const known = digests.get(key);
  if (known !== undefined) return known;
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
  const digest = hash.digest('hex');
  digests.set(key, digest);
  return digest;
}
