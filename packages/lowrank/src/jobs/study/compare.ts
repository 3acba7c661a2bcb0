import { checkFlags } from '../fineTuneFlags.js';
import type { ComparedMethod } from './comparedMethods.js';
import { checkOptions, defaultRates, trainingOf } from './comparedMethods.js';
import type { PlannedStudyRun } from './identify.js';
import { allFailed, finishStudy, openStudyFolder, StudyRunner } from './runStudy.js';
import type { StudyData } from './studyOptions.js';
import { checkCount, studyData } from './studyOptions.js';
import type { StudyTraining } from './studyRun.js';
import type { PlannedRow, StudyTable, TunedRate } from './table.js';
import { againstFull, studyRow } from './table.js';
import type { TuningOptions } from './tuning.js';
import { bestRate, checkTuningCut, noRate, tunedRate, tuneRun } from './tuning.js';

export interface CompareOptions extends TuningOptions {
  readonly methods: readonly ComparedMethod[];
  /** To be tried, by method. Default: `defaultRates`. */
  readonly learningRates?: Readonly<Partial<Record<ComparedMethod, readonly number[]>>> | undefined;
}

/**
 * Trains each method on one task with one budget (the same rows in the same order, the same steps and batches), scores
 * it on rows that were not trained on, and writes table and charts.
 *
 * The learning rate is chosen for each method by itself, on rows held out of the training data and never on the test
 * rows; then the method is trained on all of the training data with each seed. What was done before in this folder is
 * not done again.
 *
 * @throws LowrankError what studyData and checkFlags throw; `cli.conflict` for options that none of the methods takes;
 * `study.failed` where no run came to an end
 */
export async function compareMethods(options: CompareOptions): Promise<StudyTable> {
  const { seeds = 1, training } = options;
  const methods = [...new Set(options.methods)];
  checkCount('--seeds', seeds);
  checkOptions(methods, training);
  for (const method of methods) checkFlags(trainingOf(method, training));
  const data = await studyData(options);
  const rates = (method: ComparedMethod): readonly number[] => [
    ...new Set(options.learningRates?.[method] ?? defaultRates[method]),
  ];
  const isTuned = (method: ComparedMethod): boolean => rates(method).length > 1;
  if (methods.some(isTuned)) await checkTuningCut({ options, data });
  await openStudyFolder(options);
  const runner = new StudyRunner(options);
  const tuneRuns = methods.filter(isTuned).flatMap((method) =>
    rates(method).map((rate) => ({
      method,
      rate,
      planned: tuneRun({ label: method, rate, own: trainingOf(method, training) }, { options, data }),
    })),
  );
  const steps = (run: StudyTraining): number => run.steps ?? 1;
  await options.onEvent?.({
    type: 'planned',
    runs: tuneRuns.length + methods.length * seeds,
    steps:
      tuneRuns.reduce((total, { planned }) => total + steps(planned.training), 0) +
      methods.length * seeds * steps(training),
  });
  const tuned = await runner.do(tuneRuns.map(({ planned }) => planned));
  const rows = methods.map((method): ChosenRate => {
    const tuning = tuneRuns.flatMap((run, at) =>
      run.method === method ? tunedRate(run.rate, tuned.outcomes.get(tuned.runs[at]?.id ?? '')) : [],
    );
    return { method, tuning, rate: isTuned(method) ? bestRate(tuning) : rates(method)[0] };
  });
  if (runner.stopped) return finishStudy('compare', [], { options, data, interrupted: true });
  const planned = rows.map(({ method, rate }) =>
    rate === undefined ? [] : Array.from({ length: seeds }, (_, at) => scoreRun(method, rate, at, { options, data })),
  );
  const scored = await runner.do(planned.flat());
  let next = 0;
  const table = rows.map((row, at): PlannedRow => {
    const count = planned[at]?.length ?? 0;
    const runs = scored.runs.slice(next, (next += count));
    const error = row.rate === undefined ? noRate(row.tuning) : null;
    return {
      label: row.method,
      settings: { method: row.method, learning_rate: row.rate ?? null, ...loraSettings(row.method, training) },
      runs,
      tuning: row.tuning,
      error,
    };
  });
  const interrupted = runner.stopped;
  const [metric = 'loss'] = data.metrics;
  const result = await finishStudy(
    'compare',
    againstFull(
      table.map((row) => studyRow(row, scored.outcomes)),
      metric,
    ),
    { options, data, interrupted },
  );
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

function scoreRun(method: ComparedMethod, rate: number, at: number, { options, data }: Context): PlannedStudyRun {
  const { training } = options;
  const seed = (training.seed ?? 0) + at;
  return {
    purpose: 'score',
    label: `${method}, learning rate ${rate}, seed ${seed}`,
    training: { ...trainingOf(method, training), learningRate: rate, seed, parts: data.parts },
    scoring: data.scoring,
  };
}

function loraSettings(
  method: ComparedMethod,
  { r = 8, alpha, targetModules }: StudyTraining,
): Pick<PlannedRow['settings'], 'r' | 'alpha' | 'target_modules'> {
  if (method !== 'lora' && method !== 'qlora') return {};
  return { r, alpha: alpha ?? r, ...(targetModules === undefined ? {} : { target_modules: targetModules.join('+') }) };
}
