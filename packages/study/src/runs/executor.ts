import type { RunProgress, StudyOutcome, StudyRun } from './studyRun.js';

/** What an executor reports, and how it is stopped. */
export interface ExecuteHooks {
  /** Reports that a run has begun, here or elsewhere; more than once for a run that was taken over. */
  readonly onStarted?: (run: StudyRun) => void;
  /** Reports progress, as far as the executor learns of it. */
  readonly onProgress?: (run: StudyRun, progress: RunProgress) => void;
  /**
   * Takes the outcome of each run once, in any order. Awaited, so that what it writes is on the disk before the next
   * run begins.
   */
  readonly onOutcome: (run: StudyRun, outcome: StudyOutcome) => void | Promise<void>;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Does the runs of a study. A run that fails has an outcome too (`status: 'failed'`): it ends nothing. When the signal
 * is aborted, current runs are given up without an outcome, and `execute` returns; it throws only where no run can be
 * done at all (no device, no queue).
 *
 * The runs of one call are independent of each other and may be done in any order, anywhere: `runStudyRun` needs
 * nothing but the JSON. What a run saved lies in `run.folder` of the machine that did it; the study itself writes
 * outcomes to disk.
 */
export interface Executor {
  execute(runs: readonly StudyRun[], hooks: ExecuteHooks): Promise<void>;
}
