import type { ExampleGroup, PreferenceExample, PreferenceKind, RowSource, SamplerState } from '@lowrank/data';
import {
  examplesInOrder,
  largestPreferenceBatches,
  memoryRows,
  preferenceBatches,
  preferenceEvaluationBatches,
  readPreferences,
  selectionOf,
  withVirtualTokens,
} from '@lowrank/data';
import type { Objective } from '@lowrank/trainer';
import { asTraining } from '../jobs/openModel.js';
import { datasetWarnings } from './datasetWarnings.js';
import type { Reference } from './logLikelihoods.js';
import { logLikelihoods } from './logLikelihoods.js';
import { cutFor, evaluationSource } from './readRows.js';
import type { ReadingOptions, RunHooks, RunOptions, TrainingModel } from './runOptions.js';
import type { RunData } from './textRun.js';
import { bothGiven } from './textRun.js';

/** How pairs or judged rows are read and compared. */
export interface PreferenceReading {
  readonly hooks: RunHooks;
  readonly objective: Objective;
  readonly kind: PreferenceKind;
}

/**
 * What a run with a preference loss trains on. What the model says of the rows at its start, which DPO and KTO compare
 * with, is asked once for each row that the run will see, before the first step: two numbers a row, and no second
 * model.
 * It is the model as training finds it, without dropout: the base under a fresh adapter (and without the virtual tokens
 * of one), the adapter to go on from, or the weights that `full` starts with.
 */
export async function readPreferenceRun(
  model: TrainingModel,
  options: RunOptions,
  reading: PreferenceReading,
): Promise<RunData> {
  const { batchSize = 8, gradientAccumulation = 1, packing, shuffle, seed, resume, validation } = options;
  const { kind, objective, hooks } = reading;
  const { module } = model.open;
  if (validation !== undefined && options.evalData !== undefined) throw bothGiven();
  const own = { ...options, cut: cutFor('train', validation) };
  const groups = await readGroups(model, options.data, { ...reading, options: own, parts: options.parts });
  const documents = groups.flat().map(({ documents: [first] }) => first);
  const layout = { kind, batchSize, gradientAccumulation, packing, shuffle, seed, nll: objective.nll?.(options) };
  const unit = kind === 'kto' ? 1 : batchSize;
  return {
    documents: memoryRows({ rows: documents }),
    known: documents,
    stepsPerEpoch: groups.length / (unit * gradientAccumulation),
    async layOut(steps) {
      const apart = await evaluationSource(options);
      const held = apart && (await readGroups(model, apart.source, { ...reading, options: inOrder(apart.options) }));
      const { examples, seen } = examplesInOrder(groups, { ...layout, steps });
      const compared = [...(held ?? []).flat(), ...examples];
      const isFresh = options.initAdapter === undefined;
      const reference = objective.hasReference
        ? await referenceOf(compared, model, { ...options, hooks, isFresh, unseen: examples.length - seen })
        : undefined;
      const ready = readied(groups, { module, reference });
      const state = resume?.data as SamplerState | undefined;
      const all = { ...layout, virtualTokens: module.virtualTokens, state };
      return {
        batches: preferenceBatches(ready, all),
        largest: largestPreferenceBatches(ready, { ...all, steps: Math.max(1, steps - (resume?.step ?? 0)) }),
        evaluation: held && preferenceEvaluationBatches(readied(held, { module, reference }), all),
        // Of a pair the chosen one; a judged one may be what nobody wants.
        held: kind === 'kto' ? [] : held?.flat().map(({ documents: [chosen] }) => chosen),
        loss: (random) => (inputs) => {
          const loss = (): ReturnType<Objective['loss']> => objective.loss(module, inputs, options);
          // Label smoothing is another one here, of pairs; log probabilities are what they are.
          const { neftuneAlpha } = options;
          return random === undefined ? loss() : asTraining(random, { neftuneAlpha }, loss);
        },
      };
    },
    close: () => Promise.resolve(),
  };
}

/** Rows of an evaluation, which follow their file. */
function inOrder(options: RunOptions): RunOptions {
  return { ...options, shuffle: false };
}

/** Pairs or judged rows of a source as the model takes them. */
export async function readGroups(
  { open, tokenizer, chatTemplate }: Pick<TrainingModel, 'open' | 'tokenizer' | 'chatTemplate'>,
  source: RowSource,
  {
    options,
    hooks,
    kind,
    parts,
  }: Pick<PreferenceReading, 'hooks' | 'kind'> & {
    readonly options: ReadingOptions & Pick<RunOptions, 'batchSize' | 'shuffle' | 'seed'>;
    readonly parts?: RunOptions['parts'];
  },
): Promise<readonly ExampleGroup[]> {
  const { vocabularySize, contextLength } = open;
  const maxLength = Math.min(options.maxLength ?? contextLength, contextLength);
  const dataset = await readPreferences(source, tokenizer, {
    ...selectionOf(options),
    cut: options.cut,
    kind,
    vocabularySize,
    maxLength,
    parts,
    chatTemplate,
    groupSize: options.batchSize ?? 8,
    shuffle: options.shuffle,
    seed: options.seed,
  });
  const { name, forms, groups, tokens, labelTokens } = dataset;
  await hooks.onEvent?.({ type: 'data', name, forms, rows: groups.flat().length, tokens, labelTokens });
  for (const text of datasetWarnings(dataset, maxLength)) await hooks.onEvent?.({ type: 'warning', text });
  return groups;
}

/**
 * Asks the model, as it is, for the log probability of each document. Those of a run with more steps are the same ones,
 * to the last bit: the sequences are laid out for all examples, and the last ones are left out.
 */
export async function referenceOf(
  examples: readonly PreferenceExample[],
  { open, backend }: Pick<TrainingModel, 'open' | 'backend'>,
  {
    hooks,
    isFresh,
    unseen = 0,
    signal,
    execution,
  }: {
    readonly hooks: RunHooks;
    /** Whether the model's virtual tokens are new: the reference has none. */
    readonly isFresh: boolean;
    /** Examples at the end that are not needed. */
    readonly unseen?: number;
    readonly signal?: RunOptions['signal'];
    readonly execution?: RunOptions['execution'];
  },
): Promise<Reference> {
  const documents = examples.flatMap((example) => example.documents);
  const virtualTokens = isFresh ? 0 : open.module.virtualTokens;
  const count = 2 * (examples.length - unseen);
  await hooks.onEvent?.({ type: 'reference', documents: count });
  return logLikelihoods(open, documents, { backend: await backend(), virtualTokens, count, signal, execution });
}

/** The groups with what the reference says of their documents, and the model's virtual tokens before them. */
export function readied(
  groups: readonly ExampleGroup[],
  {
    module: { shape, virtualTokens },
    reference,
  }: { readonly module: TrainingModel['open']['module']; readonly reference: Reference | undefined },
): ExampleGroup[] {
  const { vocabularySize } = shape;
  const ready = (example: PreferenceExample): PreferenceExample => {
    const { documents } = example;
    const [first = documents[0], second = documents[1]] = withVirtualTokens(documents, {
      vocabularySize,
      virtualTokens,
    });
    if (reference === undefined) return { ...example, documents: [first, second] };
    // Of a row that the run never sees, nothing is known; were it seen, its loss would say so.
    const [one = NaN, other = NaN] = documents.map((document) => reference.get(document));
    return { ...example, documents: [first, second], reference: [one, other] };
  };
  return groups.map(([first, ...others]) => [ready(first), ...others.map(ready)]);
}
