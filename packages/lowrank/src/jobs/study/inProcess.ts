import type { BackendOrOpener } from '../../device.js';
import { backendOnce } from '../../device.js';
import type { Executor } from './executor.js';
import { runStudyRun } from './runStudyRun.js';

/** One run after another, in this process, on one backend. */
export function inProcess(backend: BackendOrOpener): Executor {
  const open = backendOnce(backend);
  return {
    async execute(runs, { onStarted, onProgress, onOutcome, signal }) {
      for (const run of runs) {
        if (signal?.aborted === true) return;
        onStarted?.(run);
        const outcome = await runStudyRun(run, {
          backend: await open(),
          signal,
          onProgress: (progress) => onProgress?.(run, progress),
        });
        if (outcome === undefined) return;
        await onOutcome(run, outcome);
      }
    },
  };
}
