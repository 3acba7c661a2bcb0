import { readTextRows } from '@lowrank/data';
import type { ComparedMethod } from './comparedMethods.js';
import { defaultRates, trainingOf } from './comparedMethods.js';
import type { PlannedStudyRun } from './identify.js';
import { allFailed, finishStudy, openStudyFolder, StudyRunner } from './runStudy.js';
import type { StudyData, StudyOptions } from './studyOptions.js';
import { checkCount, studyData, tuningCut } from './studyOptions.js';
import type { StudyTraining } from './studyRun.js';
import type { PlannedRow, StudyTable, TunedRate } from './table.js';
import { againstFull, studyRow } from './table.js';

export interface CompareOptions extends StudyOptions {
  readonly methods: readonly ComparedMethod[];
  /** To be tried, by method. Default: `defaultRates`. */
  readonly learningRates?: Readonly<Partial<Record<ComparedMethod, readonly number[]>>> | undefined;
  /** Rows of the training data, by whole prompts, that learning rates are chosen by. Default 200. */
  readonly tuneRows?: number | undefined;
  /** Steps of the runs that choose. Default: those of the others. */
  readonly tuneSteps?: number | undefined;
}

/**
 * Trains each method on one task with one budget (the same rows in the same order, the same steps and batches), scores it on rows that were not trained on, and writes table and charts.
 *
 * The learning rate is chosen for each method by itself, on rows held out of the training data and never on the test rows; then the method is trained on all of the training data with each seed.
 * What was done before in this folder is not done again.
 *
 * @throws LowrankError what studyData throws; `study.failed` where no run came to an end
 */
export async function compareMethods(options: CompareOptions): Promise<StudyTable> {
  const { methods, seeds = 1, tuneRows = 200, training } = options;
  checkCount('--seeds', seeds);
  checkCount('--tune-rows', tuneRows);
  const data = await studyData(options);
  const rates = (method: ComparedMethod): readonly number[] => [...new Set(options.learningRates?.[method] ?? defaultRates[method])];
  const isTuned = (method: ComparedMethod): boolean => rates(method).length > 1;
  // Both sides of the cut, before anything is trained.
  if (methods.some(isTuned)) await readTextRows(training.data, { completionAfter: training.completionAfter, parts: tuningCut(data.parts, tuneRows).rest });
  await openStudyFolder(options);
  const runner = new StudyRunner(options);
  const tuneRuns = methods.filter(isTuned).flatMap((method) => rates(method).map((rate) => ({ method, rate, planned: tuneRun(method, rate, { options, data }) })));
  const steps = (run: StudyTraining): number => run.steps ?? 1;
  await options.onEvent?.({
    type: 'planned',
    runs: tuneRuns.length + methods.length * seeds,
    steps: tuneRuns.reduce((total, { planned }) => total + steps(planned.training), 0) + methods.length * seeds * steps(training),
  });
  const tuned = await runner.do(tuneRuns.map(({ planned }) => planned));
  const rows = methods.map((method): ChosenRate => {
    const tuning = tuneRuns.flatMap((run, at): TunedRate[] => {
      const outcome = tuned.outcomes.get(tuned.runs[at]?.id ?? '');
      if (run.method !== method || outcome === undefined) return [];
      if (outcome.status === 'failed') return [{ learning_rate: run.rate, loss: null, error: outcome.error.message }];
      return [{ learning_rate: run.rate, loss: outcome.scores.loss ?? null, error: null }];
    });
    return { method, tuning, rate: isTuned(method) ? bestRate(tuning) : rates(method)[0] };
  });
  if (runner.stopped) return finishStudy('compare', [], { options, data, interrupted: true });
  const planned = rows.map(({ method, rate }) => (rate === undefined ? [] : Array.from({ length: seeds }, (_, at) => scoreRun(method, rate, at, { options, data }))));
  const scored = await runner.do(planned.flat());
  let next = 0;
  const table = rows.map((row, at): PlannedRow => {
    const count = planned[at]?.length ?? 0;
    const runs = scored.runs.slice(next, (next += count));
    const failed = row.tuning.find(({ error }) => error !== null)?.error;
    const error = row.rate === undefined ? { code: 'study.noRate', message: failed ?? 'no learning rate was found' } : null;
    return { label: row.method, settings: { method: row.method, learning_rate: row.rate ?? null, ...loraSettings(row.method, training) }, runs, tuning: row.tuning, error };
  });
  const interrupted = runner.stopped;
  const [metric = 'loss'] = data.metrics;
  const result = await finishStudy('compare', againstFull(table.map((row) => studyRow(row, scored.outcomes)), metric), { options, data, interrupted });
  if (!interrupted && result.rows.every(({ runs }) => runs === 0)) throw allFailed(result, options.output);
  return result;
}

interface ChosenRate {
  readonly method: ComparedMethod;
  readonly tuning: readonly TunedRate[];
  readonly rate: number | undefined;
}

interface Context {
  readonly options: CompareOptions;
  readonly data: StudyData;
}

function tuneRun(method: ComparedMethod, rate: number, { options, data }: Context): PlannedStudyRun {
  const { training, tuneRows = 200 } = options;
  const cut = tuningCut(data.parts, tuneRows);
  const steps = options.tuneSteps ?? training.steps;
  const { warmup } = training;
  const shorter = warmup === undefined || training.steps === undefined || steps === undefined ? warmup : Math.round((warmup * steps) / training.steps);
  return {
    purpose: 'tune',
    label: `tune ${method}, learning rate ${rate}`,
    training: { ...trainingOf(method, training), learningRate: rate, steps, warmup: shorter, parts: cut.rest },
    scoring: { data: training.data, completionAfter: training.completionAfter, parts: cut.held, metrics: ['loss'], seed: data.scoring.seed },
  };
}

function scoreRun(method: ComparedMethod, rate: number, at: number, { options, data }: Context): PlannedStudyRun {
  const { training } = options;
  const seed = (training.seed ?? 0) + at;
  return { purpose: 'score', label: `${method}, learning rate ${rate}, seed ${seed}`, training: { ...trainingOf(method, training), learningRate: rate, seed, parts: data.parts }, scoring: data.scoring };
}

function loraSettings(method: ComparedMethod, { r = 8, alpha, targetModules }: StudyTraining): Pick<PlannedRow['settings'], 'r' | 'alpha' | 'target_modules'> {
  if (method !== 'lora' && method !== 'qlora') return {};
  return { r, alpha: alpha ?? r, ...(targetModules === undefined ? {} : { target_modules: targetModules.join('+') }) };
}

function bestRate(tuning: readonly TunedRate[]): number | undefined {
  const finite = tuning.flatMap(({ learning_rate: rate, loss }) => (loss === null || !Number.isFinite(loss) ? [] : [{ rate, loss }]));
  return finite.sort((a, b) => a.loss - b.loss)[0]?.rate;
}
