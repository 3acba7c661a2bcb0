import type { EncodedRow, RowSource, SamplerState, TrainingData, TrainingRows } from '@lowrank/data';
import {
  evaluationBatches,
  evaluationRowBatches,
  largestRowBatches,
  readTraining,
  rowStatistics,
  rowsWithVirtualTokens,
  selectionOf,
  sharedPrompts,
  trainingRowBatches,
  validationCut,
  withVirtualTokens,
} from '@lowrank/data';
import type { RandomState } from '@lowrank/tensor';
import type { LossFunction, TrainOptions, TrainSession } from '@lowrank/trainer';
import { LowrankError } from '@lowrank/errors';
import type { MeasureRun } from '../jobs/metricsOfRun.js';
import { datasetWarnings } from './datasetWarnings.js';
import type { RunHooks, RunOptions, TrainingModel } from './runOptions.js';
import { evaluationSource } from './readRows.js';

type Side = TrainingData['train'];

/** A layout to look at what it would need: nothing is warned of, and nothing read that is not needed for it. */
export interface LayOutOptions {
  readonly batchSize: number;
  readonly gradientAccumulation: number;
}

/** What a run trains on: its rows, read, and what they become. */
export interface RunData {
  /** Documents of the data, for what goes by their tokens alone. */
  readonly documents: TrainingRows;
  /** Those that are looked at before the first step: all of them, or some of those that stay in a file. */
  readonly known: readonly EncodedRow[];
  /** Optimizer steps that see every row once; the last may be a part of one. */
  readonly stepsPerEpoch: number;
  /** Reads the rows of the evaluation too, and lays out all that a run of so many steps needs. */
  layOut(steps: number, options?: LayOutOptions): Promise<RunBatches>;
  /** Lets go of the data's files. */
  close(): Promise<void>;
}

type Batches = Pick<TrainOptions<TrainSession<string>, string>, 'batches' | 'largest' | 'evaluation'>;

export interface RunBatches extends Batches {
  /** Rows of the evaluation without virtual tokens: all of them, or some of those that stay in a file. */
  readonly held?: readonly EncodedRow[] | undefined;
  /** What scores the model beside its loss on the rows of the evaluation. */
  readonly measured?: MeasureRun | undefined;
  /** The loss over these batches; with what is meant for training alone where it may draw from `random`. */
  readonly loss: (random?: RandomState) => LossFunction<string>;
}

/**
 * Reads the rows that a run learns texts from. Large files stay where they are.
 *
 * @throws LowrankError `cli.conflict` for rows held out beside rows of their own
 */
export async function readTextRun(model: TrainingModel, options: RunOptions, hooks: RunHooks): Promise<RunData> {
  const { batchSize = 8, gradientAccumulation = 1, validation, resume } = options;
  if (validation !== undefined && options.evalData !== undefined) throw bothGiven();
  const cut = validation === undefined ? undefined : validationCut(validation);
  const data = await readSides(model, options.data, { options, hooks, validation: cut });
  const rows = withVirtual(model, data.train.rows);
  const { open } = model;
  return {
    documents: rows,
    known: data.train.dataset.rows,
    stepsPerEpoch: rows.kept / (batchSize * gradientAccumulation),
    async layOut(steps, other) {
      if (other !== undefined) return layOutOnly(rows, { ...options, ...other, steps, open });
      const held = data.validation ?? (await readEvaluation(model, options, hooks));
      if (held !== undefined) await warnOfSharedPrompts(data.train, held, hooks);
      const layout = { ...options, batchSize, gradientAccumulation, state: resume?.data as SamplerState | undefined };
      return {
        batches: trainingRowBatches(rows, layout),
        largest: await largestRowBatches(rows, { ...layout, steps: Math.max(1, steps - (resume?.step ?? 0)) }),
        evaluation: held && evaluationOf(model, held),
        measured: held && (await measuredBy(model, options)),
        held: held?.dataset.rows,
        loss: (random) =>
          (random === undefined ? open.loss : open.trainingLoss(random, options)) as LossFunction<string>,
      };
    },
    close: () => rows.close(),
  };
}

/** Scores that every evaluation computes beside the loss; a page that asks for none does not load them. */
async function measuredBy({ open, tokenizer }: TrainingModel, options: RunOptions): Promise<MeasureRun | undefined> {
  const { evaluationMetrics: metrics = [], evaluationPrompts: prompts = 64, seed = 0, execution } = options;
  const source = await evaluationSource(options);
  if (source === undefined || metrics.every((name) => name === 'loss')) return undefined;
  const { evaluationMetrics } = await import('../jobs/evaluationMetrics.js');
  return evaluationMetrics(source, { open, metrics, prompts, seed, tokenizer, execution });
}

async function layOutOnly(
  rows: TrainingRows,
  options: RunOptions & LayOutOptions & { readonly steps: number; readonly open: TrainingModel['open'] },
): Promise<RunBatches> {
  return {
    batches: trainingRowBatches(rows, options),
    largest: await largestRowBatches(rows, options),
    loss: (random) => (random && options.open.trainingLoss(random, options)) ?? options.open.loss,
  } as RunBatches;
}

async function readEvaluation(model: TrainingModel, options: RunOptions, hooks: RunHooks): Promise<Side | undefined> {
  const held = await evaluationSource(options);
  return held && (await readSides(model, held.source, { options: held.options, hooks })).train;
}

/** Reads rows, and tells what there is in them. */
async function readSides(
  { open, tokenizer, chatTemplate }: TrainingModel,
  source: RowSource,
  {
    options,
    hooks,
    validation,
  }: {
    readonly options: RunOptions;
    readonly hooks: RunHooks;
    readonly validation?: { readonly size: number; readonly seed: number } | undefined;
  },
): Promise<TrainingData> {
  const { vocabularySize, contextLength } = open;
  const maxLength = Math.min(options.maxLength ?? contextLength, contextLength);
  const { completionOnlyLoss, assistantOnlyLoss, dataMemory } = options;
  const data = await readTraining(source, tokenizer, {
    ...selectionOf(options),
    completionOnlyLoss,
    assistantOnlyLoss,
    dataMemory,
    vocabularySize,
    maxLength,
    chatTemplate,
    validation,
  });
  for (const [part, side] of [
    ['train', data.train],
    ['validation', data.validation],
  ] as const) {
    if (side === undefined) continue;
    const { dataset, isSample, rows } = side;
    const statistics = rowStatistics(dataset.rows);
    const { name, forms, tokens, labelTokens } = dataset;
    const sampled = isSample ? { sampled: dataset.rows.length } : {};
    await hooks.onEvent?.({
      type: 'data',
      part,
      name,
      forms,
      rows: rows.kept,
      tokens,
      labelTokens,
      statistics,
      ...sampled,
    });
    const found = isSample ? dataset : { ...dataset, duplicates: statistics.duplicates };
    for (const text of datasetWarnings(found, maxLength)) await hooks.onEvent?.({ type: 'warning', text });
  }
  return data;
}

async function warnOfSharedPrompts(train: Side, held: Side, { onEvent }: RunHooks): Promise<void> {
  if (train.isSample || held.isSample) return;
  const shared = sharedPrompts(train.dataset.rows, held.dataset.rows);
  if (shared === 0) return;
  const text =
    `${held.dataset.name}: ${shared} of ${held.dataset.rows.length} rows ask what rows to train on ask; ` +
    'their loss shows memory as well';
  await onEvent?.({ type: 'warning', text });
}

function evaluationOf(model: TrainingModel, { rows, dataset, isSample }: Side): RunBatches['evaluation'] {
  if (isSample) return evaluationRowBatches(withVirtual(model, rows));
  return evaluationBatches(withVirtualTokens(dataset.rows, virtualOf(model)));
}

function withVirtual(model: TrainingModel, rows: TrainingRows): TrainingRows {
  return rowsWithVirtualTokens(rows, virtualOf(model));
}

function virtualOf({ open }: TrainingModel): { readonly vocabularySize: number; readonly virtualTokens: number } {
  return { vocabularySize: open.vocabularySize, virtualTokens: open.module.virtualTokens };
}

/** Rows held out beside rows of their own. */
export function bothGiven(): LowrankError {
  return new LowrankError({
    code: 'cli.conflict',
    what: (names) => `${names('validation')} with ${names('evalData')}`,
    expected: 'one of the two',
    got: 'both',
    remedy: 'Rows to evaluate are held out of the data, or come from a file of their own.',
    setting: 'validation',
  });
}
