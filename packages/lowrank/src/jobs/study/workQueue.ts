import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isLowrankError, LowrankError } from '@lowrank/errors';
import { version } from '../../../package.json';
import type { BackendOrOpener } from '../../device.js';
import { backendOnce } from '../../device.js';
import { loadQueue } from './loadQueue.js';
import { checkFit } from './queuedRun.js';
import type { QueuedRun } from './queuedRun.js';
import { runStudyRun } from './runStudyRun.js';
import type { RunProgress, StudyOutcome } from './studyRun.js';

export interface WorkQueueOptions {
  readonly backend: BackendOrOpener;
  /** redis://… or rediss://… */
  readonly url: string;
  /** When aborted, the run at hand is handed back. */
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

export type WorkQueueEvent =
  | { readonly type: 'ready' }
  | { readonly type: 'connection'; readonly state: 'lost' | 'back' }
  | {
      readonly type: 'finished';
      readonly run: string;
      readonly label: string;
      readonly outcome: 'done' | 'failed';
      readonly message?: string | undefined;
    }
  | { readonly type: 'started' | 'handedBack' | 'lost'; readonly run: string; readonly label: string };

export interface WorkQueueResult {
  readonly finished: number;
  readonly handed_back: number;
  /** Runs that another worker took over meanwhile. */
  readonly lost: number;
}

/** Between two words of progress. */
const wordEvery = 2000;

/**
 * Does runs of studies that others hand out over the queue, one at a time, on one backend. What `lowrank worker` does.
 *
 * @throws {LowrankError} queue.missing; what `work` of `@lowrank/queue` throws; queue.unfit where a run cannot be done
 * here: it is handed back
 */
export async function workQueue({
  backend,
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
  const opened = await backendOnce(backend)();
  if (workFolder !== undefined) await mkdir(workFolder, { recursive: true });
  const place = workFolder ?? (await mkdtemp(join(tmpdir(), 'lowrank-worker-')));
  const digests = new Map<string, string>();
  const labels = new Map<string, string>();
  /** Runs that came to an end that is a failure: the queue carries it as any other outcome. */
  const failures = new Map<string, string>();
  let keeps = workFolder !== undefined;
  try {
    const summary = await work<QueuedRun, StudyOutcome>({
      url,
      version,
      signal,
      runs: once === true ? 1 : undefined,
      idleExit: idleExit === undefined ? undefined : idleExit * 1000,
      timing: { lock: takeoverAfter * 1000, stalledCheck: takeoverAfter * 250 },
      async run(queued, { id, signal: unwanted, progress }) {
        labels.set(id, queued.run.label);
        onEvent?.({ type: 'started', run: id, label: queued.run.label });
        await checkFit(queued, digests);
        const run = { ...queued.run, folder: join(place, id) };
        const outcome = await doRun();
        if (outcome === undefined) throw new Error('the run was given up');
        failures.delete(id);
        if (outcome.status === 'failed') failures.set(id, outcome.error.message);
        return {
          value: outcome,
          files: outcome.status === 'done' ? run.folder : undefined,
          async onSettled({ kept }) {
            if (kept) keeps = true;
            else await rm(run.folder, { recursive: true, force: true });
          },
        };

        async function doRun(): Promise<StudyOutcome | undefined> {
          let last = -wordEvery;
          const onProgress = (word: RunProgress): void => {
            if (performance.now() - last < wordEvery) return;
            last = performance.now();
            progress(word);
          };
          try {
            return await runStudyRun(run, { backend: opened, signal: unwanted, onProgress });
          } catch (error) {
            if (!isLowrankError(error) || error.code !== 'webgpu.device-lost') throw error;
            throw new LowrankError({
              code: 'queue.unfit',
              what: 'the device of this worker',
              got: error.message,
              remedy: 'Start the worker again.',
              cause: error,
            });
          }
        }
      },
      onEvent(event) {
        if (event.type === 'ready' || event.type === 'connection') return onEvent?.(event);
        const named = { run: event.id, label: labels.get(event.id) ?? event.id };
        if (event.type === 'finished') {
          const message = failures.get(event.id) ?? event.message;
          onEvent?.({ type: 'finished', ...named, outcome: message === undefined ? event.status : 'failed', message });
        }
        if (event.type === 'lost' || event.type === 'handedBack') onEvent?.({ type: event.type, ...named });
      },
    });
    return { finished: summary.finished, handed_back: summary.handedBack, lost: summary.lost };
  } finally {
    if (!keeps) await rm(place, { recursive: true, force: true });
  }
}
