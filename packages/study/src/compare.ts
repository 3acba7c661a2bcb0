import { LowrankError } from '@lowrank/errors';
import type { Candidate } from './candidates.js';
import { trainCandidates } from './candidates.js';
import type { RateSearchOptions } from './rateSearch.js';
import { checkSearchCut } from './rateSearch.js';
import type { ComparedMethod } from './runs/studyTrainer.js';
import type { StudyTraining } from './runs/studyRun.js';
import type { StudyPlace } from './runStudy.js';
import { allFailed, finishStudy, inStudyFolder } from './runStudy.js';
import { checkCount, studyData } from './studyOptions.js';
import type { PlannedRow, StudyTable } from './tables/table.js';
import { againstFull, studyRow } from './tables/table.js';

export interface CompareOptions extends RateSearchOptions {
  /** Names among the methods of `rules`. */
  readonly methods: readonly string[];
  /** Learning rates to try, by method. Default: those of `rules`. */
  readonly learningRates?: Readonly<Partial<Record<string, readonly number[]>>> | undefined;
}

/**
 * Trains each method on one task with one budget (the same rows in the same order, the same steps and batches), scores
 * it on rows that were not trained on, and writes table and charts.
 *
 * Each method's learning rate is chosen on rows held out of the training data, never on the test rows; then the method
 * trains on all of the training data with each seed. Runs whose outcomes lie in the folder already are not repeated.
 *
 * @throws LowrankError what studyData and `rules` throw; `study.method` for a name that `rules` does not have;
 * `study.failed` where no run came to an end
 */
export async function compareMethods(options: CompareOptions): Promise<StudyTable> {
  const { seeds = 1, training, rules } = options;
  checkCount('--seeds', seeds);
  const methods = methodsOf(options);
  rules.checkComparison([...methods.keys()], training);
  for (const method of methods.values()) rules.checkTraining(method.trainingOf(training));
  const data = await studyData(options);
  const candidates = [...methods].map(([name, method]) => candidateOf(name, method, options));
  await checkSearchCut(candidates, { options, data });
  return inStudyFolder(options, (claim) => compare(candidates, methods, { options, data, claim }));
}

async function compare(
  candidates: readonly Candidate[],
  methods: ReadonlyMap<string, ComparedMethod>,
  { options, data, claim }: StudyPlace & { readonly options: CompareOptions },
): Promise<StudyTable> {
  const { training } = options;
  const { trained, outcomes, stage, interrupted } = await trainCandidates(candidates, { options, data });
  if (stage === 'search') return finishStudy('compare', [], { options, data, claim, interrupted });
  const rows = trained.map(({ candidate, rate, tuning, runs, error }): PlannedRow => {
    const { label } = candidate;
    const settings = { method: label, learning_rate: rate ?? null, ...loraSettings(methods.get(label), training) };
    return { label, settings, runs, tuning, error };
  });
  const [metric = 'loss'] = data.metrics;
  const scored = againstFull(
    rows.map((row) => studyRow(row, outcomes)),
    metric,
  );
  const table = await finishStudy('compare', scored, { options, data, claim, interrupted });
  if (!interrupted && table.rows.every(({ runs }) => runs === 0)) throw allFailed(table, options.output);
  return table;
}

/** Each once, in the order in which they were given. */
function methodsOf({ methods, rules }: CompareOptions): Map<string, ComparedMethod> {
  return new Map(
    methods.map((name) => {
      const method = rules.methods[name];
      if (method !== undefined) return [name, method];
      throw new LowrankError({
        code: 'study.method',
        what: 'a method to compare',
        expected: Object.keys(rules.methods).join(', '),
        got: name,
      });
    }),
  );
}

function candidateOf(
  name: string,
  method: ComparedMethod,
  { learningRates, training, seeds = 1 }: CompareOptions,
): Candidate {
  return {
    label: name,
    training: method.trainingOf(training),
    rates: [...new Set(learningRates?.[name] ?? method.learningRates)],
    seeds,
    runLabel: (rate) => `${name}, learning rate ${rate}`,
  };
}

/** The settings that describe adapters; none for a method without them. */
function loraSettings(
  method: ComparedMethod | undefined,
  { r = 8, alpha = r, targetModules }: StudyTraining,
): Pick<PlannedRow['settings'], 'r' | 'alpha' | 'target_modules'> {
  if (method?.isLora !== true) return {};
  return { r, alpha, ...(targetModules === undefined ? {} : { target_modules: [targetModules].flat().join('+') }) };
}
