import type { MetricName, RowPart } from '@lowrank/data';
import { groupByPrompt, isTextMetric, readTextRows, scoredPrompts } from '@lowrank/data';
import { LowrankError } from '@lowrank/errors';
import type { TrainingRules } from './runs/studyTrainer.js';
import type { Executor } from './runs/executor.js';
import { modelParameters } from './runs/modelParameters.js';
import type { RunProgress, StudyOutcome, StudyRun, StudyScoring, StudyTraining } from './runs/studyRun.js';

/** What all studies have in common: one model, one task, one budget. */
export interface StudyOptions {
  /** What every run shares: model, data, steps, batch size and so on. */
  readonly training: StudyTraining;
  /** Folder for the runs, the table and the charts. */
  readonly output: string;
  /**
   * Rows that the results are scored on. Default: `holdOut` rows of the data, by whole prompts, that are not trained
   * on.
   */
  readonly testData?: string | undefined;
  /** Default 200. */
  readonly holdOut?: number | undefined;
  /** The first one decides. Default: the loss. */
  readonly metrics?: readonly MetricName[] | undefined;
  readonly scoreRows?: number | undefined;
  readonly maxNewTokens?: number | undefined;
  /** Each row of the table is run with so many seeds. Default 1. */
  readonly seeds?: number | undefined;
  readonly executor: Executor;
  /** What the trainer of the runs says of options, before the first run. */
  readonly rules: TrainingRules;
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: (event: StudyEvent) => void | Promise<void>;
}

export type StudyEvent =
  /** `steps` of training, over all the runs there will be. */
  | { readonly type: 'planned'; readonly runs: number; readonly steps: number }
  | { readonly type: 'started'; readonly run: StudyRun }
  | { readonly type: 'progress'; readonly run: StudyRun; readonly progress: RunProgress }
  | { readonly type: 'outcome'; readonly run: StudyRun; readonly outcome: StudyOutcome; readonly reused: boolean }
  | { readonly type: 'warning'; readonly text: string };

/** Where the rows of a study come from. */
export interface StudyData {
  readonly metrics: readonly MetricName[];
  /** What is left of the data for training, and for choosing among settings. */
  readonly parts: readonly RowPart[];
  readonly scoring: StudyScoring;
  readonly modelParameters: number;
}

/** The seed of every cut and choice of rows: the seeds of runs do not move them. */
const cutSeed = 0;

/**
 * Looks at all that can be wrong before the first run: the model's configuration, every row of the data and of the test
 * data, and whether the metrics can judge by them.
 *
 * @throws LowrankError what readTextRows, holdOut and scoredPrompts throw
 */
export async function studyData({
  training,
  testData,
  holdOut = 200,
  metrics = ['loss'],
  scoreRows,
  maxNewTokens,
  onEvent,
}: StudyOptions): Promise<StudyData> {
  const { data, completionAfter } = training;
  const cut = { rows: holdOut, seed: cutSeed };
  const parts: RowPart[] = testData === undefined ? [{ ...cut, part: 'rest' }] : [];
  const held: RowPart[] = testData === undefined ? [{ ...cut, part: 'held' }] : [];
  const scoring: StudyScoring = {
    data: testData ?? data,
    completionAfter,
    parts: held,
    metrics,
    scoreRows,
    maxNewTokens,
    seed: cutSeed,
  };
  const parameters = await modelParameters(training.model);
  const [rows, testRows] = [
    await readTextRows(data, { completionAfter, parts }),
    await readTextRows(scoring.data, scoring),
  ];
  const groups = groupByPrompt(testRows);
  const textMetrics = metrics.filter(isTextMetric);
  if (textMetrics.length > 0) scoredPrompts(groups, textMetrics);
  const trained = groupByPrompt([...testRows, ...rows]).length;
  const shared = groups.length + groupByPrompt(rows).length - trained;
  if (shared > 0)
    await onEvent?.({
      type: 'warning',
      text:
        `${scoring.data}: ${shared} of ${groups.length} prompts are among those of ${data} too; their scores ` +
        'tell of memory as well',
    });
  return { metrics, parts, scoring, modelParameters: parameters };
}

/** A cut of the rows that are left: one side to learn from, the other to choose by. */
export function searchCut(parts: readonly RowPart[], rows: number): Record<'held' | 'rest', readonly RowPart[]> {
  const cut = { rows, seed: cutSeed + 1 };
  return { held: [...parts, { ...cut, part: 'held' }], rest: [...parts, { ...cut, part: 'rest' }] };
}

export function checkCount(flag: string, value: number | undefined): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= 1)) return;
  throw new LowrankError({
    code: 'cli.number',
    what: flag,
    expected: 'a whole number of at least 1',
    got: String(value),
  });
}
