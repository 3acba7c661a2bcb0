import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeviceLost, LowrankError } from '@lowrank/errors';
import { safeName } from '@lowrank/files/names';
import type { RunContext, RunResult, WorkEvent } from '@lowrank/queue';
import { runStudyRun } from '../runs/runStudyRun.js';
import type { RunProgress, StudyOutcome, StudyRun } from '../runs/studyRun.js';
import type { StudyTrainer } from '../runs/studyTrainer.js';
import { checkFit, checkQueuedRun } from './queuedRun.js';
import type { QueuedRun } from './queuedRun.js';

export type QueueWorkerEvent =
  | {
      readonly type: 'finished';
      readonly run: string;
      readonly label: string;
      readonly outcome: 'done' | 'failed';
      readonly message?: string | undefined;
    }
  /** A run of another version of Lowrank, left to other workers. */
  | { readonly type: 'refused'; readonly run: string; readonly label: string; readonly message: string }
  | { readonly type: 'started' | 'handedBack' | 'lost'; readonly run: string; readonly label: string };

interface QueueWorkerOptions {
  readonly trainer: StudyTrainer;
  /** Each run gets a folder in it. */
  readonly folder: string;
  readonly onEvent?: ((event: QueueWorkerEvent) => void) | undefined;
}

/** Events about a run. */
type RunEvent = Exclude<WorkEvent, { readonly type: 'ready' | 'connection' | 'trouble' }>;

/** Milliseconds between two reports of progress. */
const progressInterval = 2000;

/** Does the queue's runs, and reports them in events. */
export class QueueWorker {
  /** Whether files that are too large to travel stayed here. */
  keepsFiles = false;
  /** SHA-256 of data files: runs of a study read the same ones. */
  private readonly digests = new Map<string, string>();
  private readonly labels = new Map<string, string>();
  /** Messages of runs that ended as a failure: the queue carries those like any other outcome. */
  private readonly failures = new Map<string, string>();

  constructor(private readonly options: QueueWorkerOptions) {}

  /** @throws LowrankError `queue.unfit` where this machine cannot do the run */
  async run(queued: QueuedRun, { id, signal, progress }: RunContext): Promise<RunResult<StudyOutcome>> {
    const { folder, onEvent } = this.options;
    // Redis is not believed: the id becomes a folder that is emptied, and the rest is read.
    const name = safeName(id, { what: 'the id of a run', pattern: /^[\w.+-]{1,200}$/ });
    checkQueuedRun(queued);
    const { label } = queued.run;
    this.labels.set(id, label);
    onEvent?.({ type: 'started', run: id, label });
    await checkFit(queued, this.digests);
    const run = { ...queued.run, id, folder: join(folder, name) };
    const outcome = await this.outcomeOf(run, signal, atMostEvery(progressInterval, progress));
    if (outcome === undefined) throw new Error('the run was given up');
    if (outcome.status === 'failed') this.failures.set(id, outcome.error.message);
    else this.failures.delete(id);
    return {
      value: outcome,
      files: outcome.status === 'done' ? run.folder : undefined,
      onSettled: async ({ kept }) => {
        if (kept) this.keepsFiles = true;
        else await rm(run.folder, { recursive: true, force: true });
      },
    };
  }

  /** Passes on what happened to a run; `started` was reported when the run began. */
  report(event: RunEvent): void {
    const { onEvent } = this.options;
    // An id that nobody gave may hold what a terminal obeys.
    const named = { run: event.id, label: this.labels.get(event.id) ?? event.id.replace(/\p{Cc}/gu, '?') };
    if (event.type === 'lost' || event.type === 'handedBack') onEvent?.({ type: event.type, ...named });
    if (event.type === 'refused') onEvent?.({ type: 'refused', ...named, message: event.message });
    if (event.type !== 'finished') return;
    const message = this.failures.get(event.id) ?? event.message;
    onEvent?.({ type: 'finished', ...named, outcome: message === undefined ? event.status : 'failed', message });
  }

  private async outcomeOf(
    run: StudyRun,
    signal: AbortSignal,
    onProgress: (progress: RunProgress) => void,
  ): Promise<StudyOutcome | undefined> {
    try {
      return await runStudyRun(run, { trainer: this.options.trainer, signal, onProgress });
    } catch (error) {
      if (!isDeviceLost(error)) throw error;
      throw new LowrankError({
        code: 'queue.unfit',
        what: 'the device of this worker',
        got: error.message,
        remedy: 'Start the worker again.',
        cause: error,
      });
    }
  }
}

function atMostEvery<Value>(milliseconds: number, call: (value: Value) => void): (value: Value) => void {
  let last = -milliseconds;
  return (value) => {
    if (performance.now() - last < milliseconds) return;
    last = performance.now();
    call(value);
  };
}
