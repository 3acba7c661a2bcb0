import type { EncodedRow, ExampleGroup, PreferenceBatch, PreferenceExample, TokenBatch } from '@lowrank/data';
import { largestBatches, preferenceBatches, withVirtualTokens } from '@lowrank/data';
import { contenderNamed, methodNamed } from '@lowrank/methods';
import type { OutlineOptions, TaskModel, TextModel } from '@lowrank/models';
import { CausalModel, outlineModel, outlineTaskModel } from '@lowrank/models';
import type { QuantizationSettings } from '@lowrank/quant';
import { codesOf } from '@lowrank/quant';
import type { RandomState, Tensor } from '@lowrank/tensor';
import type { PersistentData, Plan } from '@lowrank/tensor/backend';
import { scalar } from '@lowrank/tensor';
import { planMemory } from '@lowrank/tensor/backend';
import { sourceOf } from '@lowrank/tensor/op';
import type { Batch, LossFunction, ObjectiveName, OptimizerName, PlannedStep } from '@lowrank/trainer';
import { accumulatedGradient, objectiveNamed, planTrainStep } from '@lowrank/trainer';
import type { PlanMethod, PlanMethodOptions } from '../../settings/planTables.js';
import { asOpenedModel, asOpenModel, asTraining } from '../openModel.js';
import type { OpenTask } from '../openTask.js';
import { headOf } from '../openTask.js';
import { plannedTask, storesHead } from './plannedTask.js';
import type { PlanDevice } from './planDevice.js';
import { applyMethod } from '../methodRun.js';

export const planDtypes = ['bf16', 'f16', 'f32'] as const;

/** A run to be planned: the settings of its method, and how it is laid out. */
export interface PlannedRun extends Omit<PlanMethodOptions, 'r' | 'trainableTokens'> {
  readonly config: Readonly<Record<string, unknown>>;
  /** For errors and the report. */
  readonly name: string;
  readonly method: PlanMethod;
  readonly r: number;
  /** Token ids, whose rows are trained. */
  readonly trainableTokens?: readonly number[] | undefined;
  readonly batchSize: number;
  readonly gradientAccumulation: number;
  readonly maxLength: number;
  readonly packing: boolean;
  /** A number: of the first so many layers. */
  readonly checkpointing: boolean | number;
  /** Bytes that decide it. */
  readonly memoryBudget?: number | undefined;
  readonly optimizer: OptimizerName;
  /** Default sft. */
  readonly loss?: ObjectiveName | undefined;
  /** What the model is used for, where that is not writing text. */
  readonly task?: Pick<OpenTask, 'task' | 'labels'> | undefined;
  readonly quantization?: QuantizationSettings | undefined;
  /** Whether the embedding and the output projection are in 8-bit rows. */
  readonly quantizeEmbeddings?: boolean | undefined;
  /** Of the matrices that the base has in codes already, by path. */
  readonly codes?: OutlineOptions['codes'];
  /** Of the matrices that are neither trained nor quantized. */
  readonly dtype: (typeof planDtypes)[number];
}

/** A micro-batch of `batch` sequences of `length` positions. */
export interface PlannedBatch extends Batch<string> {
  readonly batch: number;
  readonly length: number;
}

/** What a step is computed from, and how. */
export interface RunWork {
  readonly microBatches: readonly PlannedBatch[];
  readonly loss: LossFunction<string>;
}

/** What a run needs, from its compiled plan. Bytes are exact: those that the run allocates on the device. */
export interface RunCost {
  readonly parameters: number;
  readonly trainableParameters: number;
  /** The file that the run saves: the adapter's, or with `full` the model's weights. */
  readonly file: { readonly bits16: number; readonly bits32: number };
  readonly bytes: {
    /** Quantized matrices with their scales. */
    readonly quantized: number;
    /** All other frozen weights. */
    readonly weights: number;
    /** What is trained, in f32. */
    readonly trained: number;
    readonly optimizer: number;
    readonly gradients: number;
    /** All other intermediates, by liveness. */
    readonly activations: number;
    /** Arguments, scalars, and tables of the model such as the rotary ones. */
    readonly other: number;
    /** All of the above. */
    readonly peak: number;
  };
  /** The largest single buffer. */
  readonly largestBuffer: number;
  /** Of one optimizer step, multiply and add counted apart. */
  readonly flops: number;
  /** Kernel launches of a batch's plan. */
  readonly steps: number;
  /** The micro-batches of a step. */
  readonly microBatches: readonly PlannedBatch[];
  readonly plans: readonly Plan[];
}

/**
 * Plans a run without its weights and without a device: the model's own classes are traced over tensors that hold
 * nothing, and the compiler's plan is read.
 *
 * @throws LowrankError what outlineModel, the adapters and the compiler throw
 */
export async function planRun(run: PlannedRun, { spec }: PlanDevice): Promise<RunCost> {
  const { name, quantization, quantizeEmbeddings, checkpointing, optimizer } = run;
  const outline: OutlineOptions = { dtype: run.dtype, name };
  const whole = outlined(run, outline);
  const module = outlined(run, { ...outline, quantization, quantizeEmbeddings, codes: run.codes });
  const frozen = frozenWeights(module);
  const model = asOpenedModel(name, module);
  const method = contenderNamed(run.method).method;
  const applied = await applyMethod(model, method, { ...run, task: undefined, baseModel: name, seed: 0 });
  const trained = new Set<unknown>(applied.parameters.map(({ parameter }) => parameter));
  const isPut = methodNamed(method).saves !== 'model';
  // A new head begins on the host.
  const isNew = run.task !== undefined && !storesHead(run.config, run.task);
  const heads = module instanceof CausalModel || !isNew ? [] : Object.keys(module.head.modules);
  const put = (isPut ? sizes(module, trained) : [])
    .filter(([path]) => !heads.some((head) => path.startsWith(`${head}.`)))
    .map(([, tensor]) => sourceOf(tensor));
  const random: RandomState = {
    seed: scalar(0, { dtype: 'u32', name: 'seed' }),
    step: scalar(0, { dtype: 'u32', name: 'rngStep' }),
  };
  const { microBatches, loss } = workOf(run, module, random);
  const planned = planTrainStep<string>({
    spec,
    loss,
    random,
    parameters: applied.parameters,
    microBatches,
    checkpointing,
    optimizer,
    clip: 1,
  });
  return {
    parameters: sizes(whole).reduce((total, [, { size }]) => total + size, 0),
    trainableParameters: planned.vectors.reduce(
      (total, { views }) => total + views.reduce((sum, { size }) => sum + size, 0),
      0,
    ),
    file: { bits16: applied.fileBytes('BF16'), bits32: applied.fileBytes('F32') },
    ...costOf(planned, { frozen, put }),
    flops: planned.flops,
    steps: planned.plans[0]?.steps.length ?? 0,
    microBatches,
    plans: planned.plans,
  };
}

/** The model of a run without its weights, with the head of its task. */
export function outlined(
  { config, task }: Pick<PlannedRun, 'config' | 'task'>,
  options: OutlineOptions,
): CausalModel | TaskModel {
  return task === undefined ? outlineModel(config, options) : outlineTaskModel(config, headOf(task), options);
}

function workOf(run: PlannedRun, module: CausalModel | TaskModel, random: RandomState): RunWork {
  if (module instanceof CausalModel)
    return { microBatches: microBatchesOf(run, module), loss: lossOf(run, module, random) };
  if (run.task === undefined) throw new TypeError('a head without a task');
  return plannedTask(run, { ...run.task, module }, random);
}

function lossOf({ loss = 'sft' }: PlannedRun, module: CausalModel, random: RandomState): LossFunction<string> {
  const objective = objectiveNamed(loss);
  if (objective.rows === 'sft') return asOpenModel('', module).trainingLoss(random) as LossFunction<string>;
  return (inputs) => asTraining(random, undefined, () => objective.loss(module, inputs, {}));
}

/** The same of pairs, or of judged rows and as many mismatched ones: two documents of the greatest length for each. */
function preferenceBatchesOf(
  run: PlannedRun,
  [first, ...others]: readonly EncodedRow[],
  virtualTokens: number,
): PreferenceBatch[] {
  const { loss = 'sft', batchSize, gradientAccumulation, packing } = run;
  if (first === undefined) return [];
  const { rows, hasReference, nll } = objectiveNamed(loss);
  const exampleOf = (row: EncodedRow): PreferenceExample => ({
    line: row.line,
    documents: [row, row],
    isGood: row.line % 2 === 0,
    ...(hasReference && { reference: [0, 0] }),
  });
  const pairs = [first, ...others].map((row): ExampleGroup => [exampleOf(row)]);
  const groups = Array.from({ length: gradientAccumulation }, (): ExampleGroup => {
    return [exampleOf(first), ...others.slice(0, batchSize - 1).map(exampleOf)];
  });
  const kind = rows === 'kto' ? 'kto' : 'preference';
  const layout = {
    kind,
    batchSize,
    gradientAccumulation,
    packing,
    virtualTokens,
    nll: nll?.({}),
    shuffle: false,
  } as const;
  return preferenceBatches(kind === 'kto' ? groups : pairs, layout).next().value;
}

/** The micro-batches of a step over rows of the greatest length: what `lowrank train` would lay out. */
function microBatchesOf(run: PlannedRun, { shape: { vocabularySize }, virtualTokens }: CausalModel): TokenBatch[] {
  const { batchSize, gradientAccumulation, maxLength, packing, loss = 'sft' } = run;
  // Which tokens they are changes no plan; a profile runs them.
  const ids = Int32Array.from({ length: maxLength }, (_, at) => (at * 7919) % vocabularySize);
  const row = (line: number): EncodedRow => ({
    line,
    ids,
    labels: ids,
    labelTokens: maxLength - 1,
    fullLength: maxLength,
    promptIsPrefix: true,
  });
  const rows = Array.from({ length: batchSize * gradientAccumulation }, (_, at) => row(at + 1));
  const documents = withVirtualTokens(rows, { vocabularySize, virtualTokens });
  // They have what batches of texts have, and more beside.
  if (loss !== 'sft') return preferenceBatchesOf(run, documents, virtualTokens) as unknown as TokenBatch[];
  return largestBatches(documents, {
    batchSize,
    gradientAccumulation,
    packing,
    shuffle: false,
    steps: 1,
  });
}

/** Each parameter of a model once, but for some. */
function sizes(model: TextModel, but: ReadonlySet<unknown> = new Set()): [path: string, tensor: Tensor][] {
  const seen = new Set<unknown>(but);
  return [...model.namedParameters()].flatMap(([path, parameter]): [string, Tensor][] => {
    if (seen.has(parameter)) return [];
    seen.add(parameter);
    return [[path, parameter.tensor]];
  });
}

/** What the weights are, before training moves any of them. */
function frozenWeights(model: TextModel): Map<PersistentData, 'quantized' | 'weights'> {
  const codes = new Set<Tensor>();
  for (const [, module] of model.namedModules()) codesOf(module)?.parts.forEach((part) => codes.add(part));
  return new Map(sizes(model).map(([, tensor]) => [sourceOf(tensor), codes.has(tensor) ? 'quantized' : 'weights']));
}

interface FrozenWeights {
  readonly frozen: ReadonlyMap<PersistentData, 'quantized' | 'weights'>;
  /** Those that are put on the device as they are loaded; of all others those that a step reads are there. */
  readonly put: readonly PersistentData[];
}

function costOf(
  { plans, vectors }: PlannedStep,
  { frozen, put }: FrozenWeights,
): Pick<RunCost, 'bytes' | 'largestBuffer'> {
  const memory = planMemory(plans);
  const trained = new Set<PersistentData>(vectors.map(({ parameters }) => sourceOf(parameters)));
  const state = new Set<PersistentData>(
    vectors.flatMap(({ state, constants, table }) =>
      [...Object.values(state).map(({ tensor }) => tensor), ...Object.values(constants), table].map(sourceOf),
    ),
  );
  const bytes = {
    quantized: 0,
    weights: 0,
    trained: 0,
    optimizer: 0,
    gradients: 0,
    activations: 0,
    other: memory.argumentBytes,
  };
  for (const [stored, size] of memory.sources) {
    const source = wholeOf(stored);
    const kind =
      frozen.get(source) ??
      (trained.has(source)
        ? 'trained'
        : source.name === accumulatedGradient
          ? 'gradients'
          : state.has(source)
            ? 'optimizer'
            : 'other');
    bytes[kind] += size;
  }
  // What is loaded lies on the device, whether a step reads it or not: a pooler beside a mean of hidden states.
  const read = new Set([...memory.sources.keys()].map(wholeOf));
  const unread = put.filter((source) => !read.has(source));
  for (const source of unread) bytes[frozen.get(source) ?? 'weights'] += source.bytes;
  // A batch's own gradients lie among the intermediates.
  const gradients = 4 * vectors.reduce((total, { size }) => total + size, 0);
  bytes.gradients += gradients;
  bytes.activations = memory.arenaBytes - gradients;
  const largestBuffer = Math.max(...plans.flatMap(({ buffers }) => buffers.map((buffer) => buffer.bytes)));
  return { bytes: { ...bytes, peak: memory.bytes + unread.reduce((sum, each) => sum + each.bytes, 0) }, largestBuffer };
}

/** A tensor that is too large for one binding lies in pieces. */
function wholeOf(data: PersistentData & { readonly source?: PersistentData }): PersistentData {
  return data.source ?? data;
}
