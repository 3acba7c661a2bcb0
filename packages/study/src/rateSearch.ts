import { readTextRows, selectionOf } from '@lowrank/data';
import type { PlannedStudyRun } from './runs/identify.js';
import type { StudyOutcome, StudyRun, StudyTraining } from './runs/studyRun.js';
import type { StudyData, StudyOptions } from './studyOptions.js';
import { checkCount, searchCut } from './studyOptions.js';
import type { StudyRow, TriedRate } from './tables/table.js';

/** How learning rates are chosen, for each row of a table by itself. */
export interface RateSearchOptions extends StudyOptions {
  /** Rows of the training data, by whole prompts, that learning rates are chosen by. Default 200. */
  readonly tuneRows?: number | undefined;
  /** Steps of the runs that choose. Default: those of the others. */
  readonly tuneSteps?: number | undefined;
}

interface Context {
  readonly options: RateSearchOptions;
  readonly data: StudyData;
}

/**
 * Makes the cut that rates are chosen by, before anything is trained; nothing where there is nothing to choose.
 *
 * @throws LowrankError `data.holdOut` where it leaves a side empty
 */
export async function checkSearchCut(
  candidates: readonly { readonly rates: readonly number[] }[],
  { options: { training, tuneRows = 200 }, data }: Context,
): Promise<void> {
  if (candidates.every(({ rates }) => rates.length < 2)) return;
  checkCount('--tune-rows', tuneRows);
  await readTextRows(training.data, {
    ...selectionOf(training),
    parts: searchCut(data.parts, tuneRows).rest,
  });
}

/** A run that tries a rate: trained on the rows that the split keeps, scored on those that it holds out. */
export function searchRun(
  { label, rate, training: own }: { readonly label: string; readonly rate: number; readonly training: StudyTraining },
  { options, data }: Context,
): PlannedStudyRun {
  const { training, tuneRows = 200, tuneSteps } = options;
  const cut = searchCut(data.parts, tuneRows);
  const steps = tuneSteps ?? training.steps;
  return {
    purpose: 'tune',
    label: `tune ${label}, learning rate ${rate}`,
    training: { ...own, learningRate: rate, steps, warmup: warmupOf(training, steps), parts: cut.rest },
    scoring: {
      data: training.data,
      ...selectionOf(training),
      parts: cut.held,
      metrics: ['loss'],
      seed: data.scoring.seed,
    },
  };
}

/** The same share of fewer steps. */
function warmupOf({ warmup, steps: planned }: StudyTraining, steps: number | undefined): number | undefined {
  // A share stays one.
  if (warmup === undefined || warmup < 1 || planned === undefined || steps === undefined) return warmup;
  return Math.round((warmup * steps) / planned);
}

/** What came of each rate; those whose run was given up are left out. */
export function triedRates(
  rates: readonly number[],
  runs: readonly StudyRun[],
  outcomes: ReadonlyMap<string, StudyOutcome>,
): TriedRate[] {
  return runs.flatMap(({ id }, at): TriedRate[] => {
    const [rate, outcome] = [rates[at], outcomes.get(id)];
    if (rate === undefined || outcome === undefined) return [];
    return [
      outcome.status === 'failed'
        ? { learning_rate: rate, loss: null, error: outcome.error.message }
        : { learning_rate: rate, loss: outcome.scores.loss ?? null, error: null },
    ];
  });
}

export function bestRate(tuning: readonly TriedRate[]): number | undefined {
  const finite = tuning.flatMap(({ learning_rate: rate, loss }) =>
    loss === null || !Number.isFinite(loss) ? [] : [{ rate, loss }],
  );
  return finite.sort((a, b) => a.loss - b.loss)[0]?.rate;
}

/** The error of a row for which no rate was found. */
export function noRate(tuning: readonly TriedRate[]): NonNullable<StudyRow['error']> {
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
