import { readTextRows } from '@lowrank/data';
import type { PlannedStudyRun } from './identify.js';
import type { StudyData, StudyOptions } from './studyOptions.js';
import { checkCount, tuningCut } from './studyOptions.js';
import type { StudyOutcome, StudyTraining } from './studyRun.js';
import type { StudyRow, TunedRate } from './table.js';

/** How learning rates are chosen, for each row of a table by itself. */
export interface TuningOptions extends StudyOptions {
  /** Rows of the training data, by whole prompts, that learning rates are chosen by. Default 200. */
  readonly tuneRows?: number | undefined;
  /** Steps of the runs that choose. Default: those of the others. */
  readonly tuneSteps?: number | undefined;
}

interface Context {
  readonly options: TuningOptions;
  readonly data: StudyData;
}

/**
 * Makes the cut that rates are chosen by, before anything is trained. @throws LowrankError `data.holdOut` where it
 * leaves a side empty
 */
export async function checkTuningCut({ options: { training, tuneRows = 200 }, data }: Context): Promise<void> {
  checkCount('--tune-rows', tuneRows);
  await readTextRows(training.data, {
    completionAfter: training.completionAfter,
    parts: tuningCut(data.parts, tuneRows).rest,
  });
}

/** A run that tries a rate: on what the cut leaves to learn from, scored on what it holds back. */
export function tuneRun(
  { label, rate, own }: { readonly label: string; readonly rate: number; readonly own: StudyTraining },
  { options, data }: Context,
): PlannedStudyRun {
  const { training, tuneRows = 200 } = options;
  const cut = tuningCut(data.parts, tuneRows);
  const steps = options.tuneSteps ?? training.steps;
  const { warmup } = training;
  const shorter =
    warmup === undefined || training.steps === undefined || steps === undefined
      ? warmup
      : Math.round((warmup * steps) / training.steps);
  return {
    purpose: 'tune',
    label: `tune ${label}, learning rate ${rate}`,
    training: { ...own, learningRate: rate, steps, warmup: shorter, parts: cut.rest },
    scoring: {
      data: training.data,
      completionAfter: training.completionAfter,
      parts: cut.held,
      metrics: ['loss'],
      seed: data.scoring.seed,
    },
  };
}

/** What came of a rate; nothing where its run was given up. */
export function tunedRate(rate: number, outcome: StudyOutcome | undefined): TunedRate[] {
  if (outcome === undefined) return [];
  return [
    outcome.status === 'failed'
      ? { learning_rate: rate, loss: null, error: outcome.error.message }
      : { learning_rate: rate, loss: outcome.scores.loss ?? null, error: null },
  ];
}

export function bestRate(tuning: readonly TunedRate[]): number | undefined {
  const finite = tuning.flatMap(({ learning_rate: rate, loss }) =>
    loss === null || !Number.isFinite(loss) ? [] : [{ rate, loss }],
  );
  return finite.sort((a, b) => a.loss - b.loss)[0]?.rate;
}

/** Of a row for which no rate was found. */
export function noRate(tuning: readonly TunedRate[]): NonNullable<StudyRow['error']> {
  return {
    code: 'study.noRate',
    message: tuning.find(({ error }) => error !== null)?.error ?? 'no learning rate was found',
  };
}

/** Whether the best learning rate is the smallest or largest that was tried, so that one beyond might do better. */
export function atEdge({ tuning, settings }: StudyRow): boolean {
  const rates = tuning.map(({ learning_rate: rate }) => rate);
  return (
    rates.length > 1 && (settings.learning_rate === Math.min(...rates) || settings.learning_rate === Math.max(...rates))
  );
}
