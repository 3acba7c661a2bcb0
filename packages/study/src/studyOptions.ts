import type { MetricName, RowPart } from '@lowrank/data';
import {
  groupByPrompt,
  isTextMetric,
  labeledPrompts,
  metricNames,
  readTextRows,
  selectionOf,
  scoredPrompts,
  taskMetricNames,
} from '@lowrank/data';
import { LowrankError } from '@lowrank/errors';
import type { TrainingRules } from './runs/studyTrainer.js';
import type { Executor } from './runs/executor.js';
import { modelParameters } from './runs/modelParameters.js';
import type { RunProgress, StudyOutcome, StudyRun, StudyScoring, StudyTraining } from './runs/studyRun.js';

/** Options of all studies: one model, one task, one budget. */
export interface StudyOptions {
  /** Shared by every run: model, data, steps, batch size and so on. */
  readonly training: StudyTraining;
  /** Folder for the runs, the table and the charts. */
  readonly output: string;
  /**
   * Rows that score the results. Default: `holdOut` rows of the data, by whole prompts, that are not trained
   * on.
   */
  readonly testData?: string | undefined;
  /** Default 200. */
  readonly holdOut?: number | undefined;
  /** The first one decides. Default: the loss. */
  readonly metrics?: readonly MetricName[] | undefined;
  readonly scoreRows?: number | undefined;
  readonly maxNewTokens?: number | undefined;
  /** Seeds that each row of the table is trained with. Default 1. */
  readonly seeds?: number | undefined;
  readonly executor: Executor;
  /** What the trainer of the runs says of options, before the first run. */
  readonly rules: TrainingRules;
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: (event: StudyEvent) => void | Promise<void>;
}

/** What happens in a study. */
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
  /** The part of the data for training, and for choosing among settings. */
  readonly parts: readonly RowPart[];
  readonly scoring: StudyScoring;
  readonly modelParameters: number;
}

/** Seeds every cut and choice of rows: they are the same for all seeds of runs. */
const cutSeed = 0;

/**
 * Checks all that can be wrong before the first run: the model's configuration, every row of the data and of the test
 * data, and whether the metrics can score them.
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
  rules,
  onEvent,
}: StudyOptions): Promise<StudyData> {
  const { data } = training;
  const selection = selectionOf(training);
  const cut = { rows: holdOut, seed: cutSeed };
  const parts: RowPart[] = testData === undefined ? [{ ...cut, part: 'rest' }] : [];
  const held: RowPart[] = testData === undefined ? [{ ...cut, part: 'held' }] : [];
  const scoring: StudyScoring = {
    data: testData ?? data,
    ...selection,
    parts: held,
    metrics,
    scoreRows,
    maxNewTokens,
    seed: cutSeed,
  };
  const parameters = await modelParameters(training.model);
  const ofTask = await rules.taskRows?.(training, { ...selection, parts, data });
  checkMetrics(metrics, ofTask?.metrics);
  const rows = ofTask?.rows ?? (await readTextRows(data, { ...selection, parts }));
  const testRows = (await rules.taskRows?.(training, scoring))?.rows ?? (await readTextRows(scoring.data, scoring));
  const groups = groupByPrompt(testRows);
  const textMetrics = ofTask === undefined ? metrics.filter(isTextMetric) : [];
  if (textMetrics.length > 0) scoredPrompts(groups, textMetrics);
  if (metrics.includes('label-accuracy')) labeledPrompts(groups);
  const trained = groupByPrompt([...testRows, ...rows]).length;
  const shared = groups.length + groupByPrompt(rows).length - trained;
  if (shared > 0)
    await onEvent?.({
      type: 'warning',
      text:
        `${scoring.data}: ${shared} of ${groups.length} prompts are among those of ${data} too; their scores ` +
        'show memory as well',
    });
  return { metrics, parts, scoring, modelParameters: parameters };
}

/** Those that can be asked for. */
const all: ReadonlySet<string> = new Set([...metricNames, ...taskMetricNames]);

/**
 * Metrics of written texts are no metrics of tasks, nor the other way round; `ofTask` are those that a task has.
 *
 * @throws LowrankError `cli.conflict`
 */
function checkMetrics(metrics: readonly MetricName[], ofTask: readonly string[] | undefined): void {
  const wrong = metrics.find((name) =>
    ofTask === undefined ? taskMetricNames.some((own) => own === name) : !ofTask.includes(name),
  );
  if (wrong === undefined) return;
  throw new LowrankError({
    code: 'cli.conflict',
    what: (names) => names('metric', wrong),
    expected:
      ofTask === undefined
        ? 'a metric of texts that are written'
        : `a metric of this task: ${ofTask.filter((name) => all.has(name)).join(', ')}`,
    got: wrong,
    setting: 'metric',
  });
}

/** Cuts the rows for training in two: one side to learn from, the other to choose by. */
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
