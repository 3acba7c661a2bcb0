import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { shownPlace } from '@lowrank/models';
import { writeFileAtomic } from '@lowrank/files';
import type { ExecuteHooks, Executor } from './executor.js';
import type { StudyOutcome, StudyRun } from './studyRun.js';

export interface DoRunsOptions extends Pick<ExecuteHooks, 'onStarted' | 'onProgress' | 'signal'> {
  readonly executor: Executor;
  /** Takes each outcome once; `reused` where it lay in the output folder already. */
  readonly onOutcome?: (run: StudyRun, outcome: StudyOutcome, reused: boolean) => void | Promise<void>;
}

/**
 * Returns the outcomes that an earlier call wrote to disk, and those of the runs done now, each written whole before
 * the next run begins. Runs without an outcome were given up when the signal was aborted. A run that failed is tried
 * again, unless its numbers were not finite: those would be the same again.
 */
export async function doRuns(
  runs: readonly StudyRun[],
  { executor, onOutcome, ...hooks }: DoRunsOptions,
): Promise<Map<string, StudyOutcome>> {
  const outcomes = new Map<string, StudyOutcome>();
  const missing: StudyRun[] = [];
  for (const run of runs) {
    const outcome = await readOutcome(run);
    if (outcome === undefined) missing.push(run);
    else {
      outcomes.set(run.id, outcome);
      await onOutcome?.(run, outcome, true);
    }
  }
  if (missing.length === 0 || hooks.signal?.aborted === true) return outcomes;
  await executor.execute(missing, {
    ...hooks,
    async onOutcome(run, outcome) {
      await writeOutcome(run, outcome);
      outcomes.set(run.id, outcome);
      await onOutcome?.(run, outcome, false);
    },
  });
  return outcomes;
}

const fileOf = ({ folder }: StudyRun): string => join(folder, 'outcome.json');

/** Undefined where there is no valid one. */
async function readOutcome(run: StudyRun): Promise<StudyOutcome | undefined> {
  try {
    const { outcome } = JSON.parse(await readFile(fileOf(run), 'utf8')) as { outcome?: StudyOutcome };
    if (outcome?.id !== run.id) return undefined;
    return outcome.status === 'done' || outcome.error.code === 'trainer.nonFinite' ? outcome : undefined;
  } catch {
    // Missing, or no JSON: the run is done again.
    return undefined;
  }
}

async function writeOutcome(run: StudyRun, outcome: StudyOutcome): Promise<void> {
  await mkdir(run.folder, { recursive: true });
  await writeFileAtomic(fileOf(run), `${JSON.stringify({ run: shownRun(run), outcome }, null, 1)}\n`);
}

/** The run for people who look into the folder: nothing reads it back, so credentials of URLs stay out of it. */
function shownRun(run: StudyRun): StudyRun {
  const { model, initAdapter } = run.training;
  const training = { ...run.training, model: shownPlace(model) };
  return {
    ...run,
    training: initAdapter === undefined ? training : { ...training, initAdapter: shownPlace(initAdapter) },
  };
}
