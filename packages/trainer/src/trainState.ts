import { LowrankError } from '@lowrank/errors';
import type { TrainedParameter } from '@lowrank/nn';
import type { DType, HostArray, Shape, Tensor } from '@lowrank/tensor';
import { readTensor } from '@lowrank/tensor';
import { bytesPerElement, hostArray, sizeOf, sourceOf } from '@lowrank/tensor/op';
import type { OptimizerTensor } from './optimizers/optimizer.js';
import type { FlatVector } from './parameters.js';
import type { Segment } from './segment.js';

/** A tensor of a saved state, which is read when it is needed. */
export interface StateTensor {
  readonly dtype: DType;
  readonly shape: Shape;
  read(): Promise<HostArray>;
}

/** What a train step carries from one optimizer step to the next. */
export interface StepState {
  /** Optimizer steps taken. */
  readonly step: number;
  /** Micro-batches run: the RNG step of the next. */
  readonly rngStep: number;
  /** How many of the steps changed nothing, since their loss or gradient was not finite. Default 0. */
  readonly skipped?: number | undefined;
  /**
   * By name: `parameter.NAME`, the f32 values of a trained parameter, `firstMoment.NAME` and so on, what the optimizer
   * remembers of it, and `constant.NAME`. Cut by parameters, so that a device with other limits can take them. Those of
   * a live step are read where they lie: before the next step, or they are that step's.
   */
  readonly tensors: ReadonlyMap<string, StateTensor>;
}

/** The best evaluation, and when it was: the one with the lowest loss, unless another measure decides. */
export interface Score {
  readonly step: number;
  readonly loss: number;
  /** What the measure was that decides, where it is not the loss. */
  readonly measure?: number | undefined;
}

/**
 * All that a training is between two steps. Plain data but for the tensors. What comes after it does not depend on
 * whether the training went on or was begun anew with this state, by not one bit on the same device.
 */
export interface TrainState extends StepState {
  /** Of the last step. */
  readonly loss: number | undefined;
  readonly gradNorm: number | undefined;
  /** Steps in a row up to this one whose batch was skipped. Default 0. */
  readonly skippedInRow?: number | undefined;
  /** Losses that the next ones are compared with, where spikes count. */
  readonly recentLosses?: readonly number[] | undefined;
  /** Rollbacks so far without a whole window of other steps between them, and the step of the last. */
  readonly rollbacks?: { readonly count: number; readonly step: number } | undefined;
  /** Tokens of all steps, prompts included and padding not, of skipped batches neither. */
  readonly tokens: number;
  readonly seconds: number;
  /** Where the batches stand, as they say it themselves. Plain JSON. */
  readonly data: unknown;
  readonly best: Score | undefined;
  /** Evaluations since the best one. */
  readonly evaluationsSinceBest: number;
  /** The step of the last evaluation; 0 before the first. */
  readonly evaluatedAt: number;
  /** The backend's choices of kernels (`KernelChoices`): plain JSON. Absent where they were not measured. */
  readonly kernels?: unknown;
}

/** The same state with its tensors in host memory: it stays what it is while training goes on. */
export async function holdState<State extends StepState>(state: State): Promise<State> {
  const tensors = new Map<string, StateTensor>();
  for (const [name, tensor] of state.tensors) {
    const values = (await tensor.read()).slice() as HostArray;
    tensors.set(name, { dtype: tensor.dtype, shape: tensor.shape, read: () => Promise.resolve(values) });
  }
  return { ...state, tensors };
}

/** What a state is of. */
export interface Stateful {
  readonly vectors: readonly FlatVector[];
  /** Tensors that are not trained, and not to be made again either. */
  readonly constants?: readonly TrainedParameter[] | undefined;
}

/** The tensors of flat vectors and their optimizer, by parameters, and the constants. */
export function stateTensors({ vectors, constants = [] }: Stateful): Map<string, StateTensor> {
  const trained = vectors.flatMap((vector) =>
    stored(vector).flatMap((part) =>
      vector.segments.map((segment): [string, StateTensor] => [nameOf(part, segment), partOf(part, segment)]),
    ),
  );
  const others = constants.map(({ name, parameter: { tensor } }): [string, StateTensor] => [
    constantName(name),
    { dtype: tensor.dtype, shape: tensor.shape, read: () => readTensor(tensor) },
  ]);
  return new Map([...trained, ...others]);
}

/**
 * Writes saved tensors into the vectors.
 *
 * @throws LowrankError `trainer.state` where the state is of other parameters or another optimizer; nothing is written
 * then
 */
export async function restoreTensors(of: Stateful, tensors: ReadonlyMap<string, StateTensor>): Promise<void> {
  checkTensors(stateTensors(of), tensors);
  for (const { name, parameter } of of.constants ?? []) {
    const values = await tensors.get(constantName(name))?.read();
    if (values !== undefined) sourceOf(parameter.tensor).write(values);
  }
  for (const vector of of.vectors)
    for (const part of stored(vector)) {
      const { tensor, filler = 0 } = part;
      const whole = hostArray(tensor.dtype, tensor.size);
      if (filler !== 0) whole.fill(filler);
      for (const segment of vector.segments)
        whole.set((await tensors.get(nameOf(part, segment))?.read()) ?? [], placeOf(part, segment).start);
      sourceOf(tensor).write(whole);
    }
}

/** A tensor over a flat vector, and what it is to a parameter: its first moment. */
interface NamedTensor extends OptimizerTensor {
  readonly name: string;
}

/** What of a vector is saved. */
function stored({ parameters, state }: FlatVector): readonly NamedTensor[] {
  return [
    { name: 'parameter', tensor: parameters, span: 1 },
    ...Object.entries(state).map(([name, one]) => ({ name, ...one })),
  ];
}

function constantName(name: string): string {
  return `constant.${name}`;
}

function nameOf({ name }: NamedTensor, segment: Segment): string {
  return `${name}.${segment.name}`;
}

/** The elements of a tensor that belong to a parameter. */
function placeOf({ tensor, span }: OptimizerTensor, { offset, shape }: Segment): { start: number; count: number } {
  const width = span === 1 ? 1 : rowSize(tensor);
  return { start: (offset / span) * width, count: Math.ceil(sizeOf(shape) / span) * width };
}

function rowSize({ shape }: Tensor): number {
  return sizeOf(shape.slice(1));
}

function partOf(part: NamedTensor, segment: Segment): StateTensor {
  const { tensor, span } = part;
  const { dtype } = tensor;
  const { start, count } = placeOf(part, segment);
  const bytes = bytesPerElement(dtype);
  return {
    dtype,
    shape: span === 1 ? segment.shape : [count / rowSize(tensor), ...tensor.shape.slice(1)],
    read: async () => hostArray(dtype, await sourceOf(tensor).read(start * bytes, count * bytes), 0, count),
  };
}

function checkTensors(expected: ReadonlyMap<string, StateTensor>, given: ReadonlyMap<string, StateTensor>): void {
  for (const [name, { dtype, shape }] of expected) {
    const found = given.get(name);
    if (found?.dtype === dtype && found.shape.join() === shape.join()) continue;
    throw wrongState(
      `${name}, ${dtype} [${shape.join(', ')}]`,
      found === undefined ? 'none of that name' : `${found.dtype} [${found.shape.join(', ')}]`,
    );
  }
  for (const name of given.keys()) if (!expected.has(name)) throw wrongState('no such tensor', name);
}

function wrongState(expected: string, got: string): LowrankError {
  return new LowrankError({
    code: 'trainer.state',
    what: 'the saved state of the training',
    expected,
    got,
    remedy: 'Go on with the model, the method and the optimizer that it was saved with, or start anew.',
  });
}
