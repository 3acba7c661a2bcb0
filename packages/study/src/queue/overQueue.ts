import { createHash } from 'node:crypto';
import { mkdir, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { isLowrankError } from '@lowrank/errors';
import type { DistributeEvent, RunOutcome } from '@lowrank/queue';
import { ownDisk, writeFileAtomic } from '@lowrank/files';
import { version } from '../../package.json';
import type { Executor } from '../runs/executor.js';
import { loadQueue } from './loadQueue.js';
import { queuedRun } from './queuedRun.js';
import type { QueuedRun } from './queuedRun.js';
import { readOutcome, readProgress } from './readOutcome.js';
import type { StudyOutcome, StudyRun } from '../runs/studyRun.js';

/** Options of `overQueue`. */
export interface OverQueueOptions {
  /** redis://… or rediss://… */
  readonly url: string;
  /** The study's folder: its runs are found again by it. */
  readonly output: string;
  /** What happens on the way, in sentences. */
  readonly onNote?: ((text: string) => void) | undefined;
}

/**
 * Hands runs to `lowrank worker` on any number of machines. Files of a run that are small come back into `run.folder`;
 * for larger ones `elsewhere.json` there says where they stayed.
 *
 * @throws {LowrankError} queue.missing, and what `distribute` of `@lowrank/queue` throws
 */
export function overQueue({ url, output, onNote }: OverQueueOptions): Executor {
  return {
    async execute(runs, { onStarted, onProgress, onOutcome, signal }) {
      const { distribute } = await loadQueue();
      const digests = new Map<string, string>();
      const payloads: { id: string; payload: QueuedRun }[] = [];
      for (const run of runs) payloads.push({ id: run.id, payload: await queuedRun(run, digests) });
      const byId = new Map(runs.map((run) => [run.id, run]));
      const note = notes(byId, onNote);
      const { atWork } = await distribute<QueuedRun, unknown>({
        url,
        study: studyName(output),
        version,
        runs: payloads,
        signal,
        onStarted(id, { worker, takeovers }) {
          const run = byId.get(id);
          if (run === undefined) return;
          if (takeovers > 0) onNote?.(`${run.label}: taken over by ${worker}`);
          onStarted?.(run);
        },
        onEvent(event) {
          const run = event.type === 'progress' ? byId.get(event.id) : undefined;
          const progress = event.type === 'progress' ? readProgress(event.value) : undefined;
          if (run !== undefined && progress !== undefined) onProgress?.(run, progress);
          else note(event);
        },
        async onOutcome(id, outcome) {
          const run = byId.get(id);
          if (run !== undefined) await onOutcome(run, await received(run, outcome, onNote));
        },
      });
      if (atWork.length > 0)
        onNote?.(
          `workers go on with ${atWork.map((id) => byId.get(id)?.label ?? id).join('; ')}; what they find is ` +
            'kept for the next time',
        );
    },
  };
}

/** The same folder on the same machine is the same study. */
function studyName(output: string): string {
  return `${basename(resolve(output)).slice(0, 60)}-${createHash('sha256')
    .update(`${hostname()}\n${resolve(output)}`)
    .digest('hex')
    .slice(0, 12)}`;
}

async function received(
  run: StudyRun,
  outcome: RunOutcome<unknown>,
  onNote: OverQueueOptions['onNote'],
): Promise<StudyOutcome> {
  if (outcome.status === 'failed') return { id: run.id, status: 'failed', error: outcome.error };
  const value = readOutcome(outcome.value, run);
  const { files } = outcome;
  if (files === undefined || value.status === 'failed') return value;
  // Beside its place, until all of it is there.
  const incoming = join(dirname(run.folder), `.${basename(run.folder)}.incoming`);
  await rm(incoming, { recursive: true, force: true });
  await mkdir(incoming, { recursive: true });
  try {
    if (files.kind === 'sent') await files.saveTo(incoming);
    else {
      const { host, path, bytes, reason } = files;
      await writeFileAtomic(
        join(incoming, 'elsewhere.json'),
        `${JSON.stringify({ worker: outcome.worker, host, path, bytes, reason }, null, 2)}\n`,
      );
      onNote?.(`${run.label}: its files stayed on ${host}, in ${path} (${reason})`);
    }
  } catch (error) {
    // The scores are here, and the files can be had again by another run.
    if (!isLowrankError(error) || !/^(queue\.files|files\.unsafeName)$/.test(error.code)) throw error;
    onNote?.(`warning: ${run.label}: ${error.message}`);
    await rm(incoming, { recursive: true, force: true });
    return value;
  }
  await rm(run.folder, { recursive: true, force: true });
  await rename(incoming, run.folder);
  await ownDisk.syncFolder(dirname(run.folder));
  return value;
}

/** Milliseconds between two notes that no worker is there. */
const patience = 60_000;

function notes(
  runs: ReadonlyMap<string, StudyRun>,
  onNote: OverQueueOptions['onNote'],
): (event: DistributeEvent) => void {
  let reportedAt = -patience;
  const label = (id: string): string => runs.get(id)?.label ?? id;
  return (event) => {
    switch (event.type) {
      case 'connection':
        return onNote?.(
          event.state === 'lost' ? 'the connection to Redis is lost; trying again' : 'the connection to Redis is back',
        );
      case 'lost':
        return onNote?.(`${label(event.id)}: its worker was lost; another takes it over`);
      case 'handedBack':
        return onNote?.(`${label(event.id)}: handed back by ${event.worker}`);
      case 'refused':
        return onNote?.(`${label(event.id)}: ${event.worker} cannot take it: ${event.message}`);
      case 'addedAgain':
        return onNote?.(`${label(event.id)}: Redis had forgotten it; added again`);
      case 'unattended':
        if (performance.now() - reportedAt < patience) return;
        reportedAt = performance.now();
        return onNote?.('no worker has taken a run yet: start `lowrank worker --queue …` on one machine or several');
      case 'progress':
        return;
    }
  };
}
