import type { Executor } from './executor.js';
import { runStudyRun } from './runStudyRun.js';
import type { StudyTrainer } from './studyTrainer.js';

/** One run after another, in this process. */
export function inProcess(trainer: StudyTrainer): Executor {
  return {
    async execute(runs, { onStarted, onProgress, onOutcome, signal }) {
      for (const run of runs) {
        if (signal?.aborted === true) return;
        onStarted?.(run);
        const outcome = await runStudyRun(run, {
          trainer,
          signal,
          onProgress: (progress) => onProgress?.(run, progress),
        });
        if (outcome === undefined) return;
        await onOutcome(run, outcome);
      }
    },
  };
}
