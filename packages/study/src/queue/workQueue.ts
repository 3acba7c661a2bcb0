import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { version } from '../../package.json';
import type { StudyOutcome } from '../runs/studyRun.js';
import type { StudyTrainer } from '../runs/studyTrainer.js';
import { loadQueue } from './loadQueue.js';
import type { QueuedRun } from './queuedRun.js';
import type { QueueWorkerEvent } from './queueWorker.js';
import { QueueWorker } from './queueWorker.js';

/** Options of `workQueue`. */
export interface WorkQueueOptions {
  readonly trainer: StudyTrainer;
  /** redis://… or rediss://… */
  readonly url: string;
  /** When aborted, the current run is handed back. */
  readonly signal?: AbortSignal | undefined;
  /** Stop after one run. */
  readonly once?: boolean | undefined;
  /** Seconds without a run after which to stop. */
  readonly idleExit?: number | undefined;
  /** Seconds after which a worker that is not heard of has lost its run. Default 20. */
  readonly takeoverAfter?: number | undefined;
  /**
   * Where runs are done, and where files stay that are too large to travel. Default: a folder of the system's temporary
   * ones.
   */
  readonly workFolder?: string | undefined;
  readonly onEvent?: ((event: WorkQueueEvent) => void) | undefined;
}

/** What happens to a worker of studies. */
export type WorkQueueEvent =
  | { readonly type: 'ready' }
  | { readonly type: 'connection'; readonly state: 'lost' | 'back' }
  /** Something in Redis that is no run, or that nobody can read: the worker goes on. */
  | { readonly type: 'trouble'; readonly message: string }
  | QueueWorkerEvent;

/** What a worker did until it ended, in runs. */
export interface WorkQueueResult {
  readonly finished: number;
  readonly handed_back: number;
  /** Runs that another worker took over meanwhile. */
  readonly lost: number;
}

/**
 * Does runs of studies that others hand out over the queue, one at a time, on one device. What `lowrank worker` does.
 *
 * @throws {LowrankError} queue.missing; what `work` of `@lowrank/queue` throws; queue.unfit where a run cannot be done
 * here: it is handed back
 */
export async function workQueue({
  trainer,
  url,
  signal,
  once,
  idleExit,
  takeoverAfter = 20,
  workFolder,
  onEvent,
}: WorkQueueOptions): Promise<WorkQueueResult> {
  const { work } = await loadQueue();
  // A machine without a device takes no run.
  await trainer.open();
  const folder = await workPlace(workFolder);
  const worker = new QueueWorker({ trainer, folder, onEvent });
  try {
    const summary = await work<QueuedRun, StudyOutcome>({
      url,
      version,
      signal,
      runs: once === true ? 1 : undefined,
      idleExit: idleExit === undefined ? undefined : idleExit * 1000,
      timing: { lock: takeoverAfter * 1000, stalledCheck: takeoverAfter * 250 },
      run: (queued, context) => worker.run(queued, context),
      onEvent(event) {
        if (event.type === 'ready' || event.type === 'connection' || event.type === 'trouble') onEvent?.(event);
        else worker.report(event);
      },
    });
    return { finished: summary.finished, handed_back: summary.handedBack, lost: summary.lost };
  } finally {
    if (workFolder === undefined && !worker.keepsFiles) await rm(folder, { recursive: true, force: true });
  }
}

async function workPlace(folder: string | undefined): Promise<string> {
  if (folder === undefined) return mkdtemp(join(tmpdir(), 'lowrank-worker-'));
  await mkdir(folder, { recursive: true });
  return folder;
}
