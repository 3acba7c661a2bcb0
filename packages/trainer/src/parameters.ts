import { LowrankError } from '@lowrank/errors';
import type { BackendSpec, HostArray, Shape, Tensor } from '@lowrank/tensor';
import { hostArray, persistent, segmentBlock, sizeOf, sourceOf, tensor, toFloat32, viewAt } from '@lowrank/tensor';

/** What is trained: a place that holds a tensor (nn's Parameter, or anything of that form), with its name. */
export interface TrainedParameter {
  /** For errors and dumps: 'model.layers.0.self_attn.q_proj.lora_A'. */
  readonly name: string;
  /** Holds a persistent tensor on the host now, and a view of a flat vector once training begins. */
  readonly parameter: { tensor: Tensor };
  /** Factor on the learning rate; 1 by default. */
  readonly learningRateFactor?: number;
  /** Overrides the weight decay of the run: 0 for those that shall not decay. */
  readonly weightDecay?: number;
}

/** Where a parameter lies within its flat vector. */
export interface Segment {
  readonly name: string;
  /** First element, a multiple of 64. */
  readonly offset: number;
  readonly shape: Shape;
}

/** Parameters one after another in one buffer, with the state of AdamW beside them. All f32; what lies between segments is zero. */
export interface FlatVector {
  /** Elements, a multiple of 64. */
  readonly size: number;
  readonly segments: readonly Segment[];
  /** [size] */
  readonly parameters: Tensor;
  /** [size] */
  readonly firstMoment: Tensor;
  /** [size] */
  readonly secondMoment: Tensor;
  /** [size/64, 2]: learning-rate factor and weight decay of each block of 64 elements. */
  readonly table: Tensor;
  /** The parameters' own tensors: views of `parameters`, in the order of `segments`. */
  readonly views: readonly Tensor[];
}

/**
 * Moves trained parameters into flat f32 vectors, so that clipping and AdamW are a kernel each and not one per matrix. Segments begin at multiples
 * of 64 elements, and no vector is larger than one binding of the device, unless a single parameter is. Each `parameter.tensor` becomes a view of
 * its place; the tensors that held the values before are freed.
 *
 * @throws LowrankError `trainer.nothingToTrain`, `trainer.integerParameter`, `trainer.tooLarge`
 */
export async function flattenParameters(
  parameters: readonly TrainedParameter[],
  spec: Pick<BackendSpec, 'maxBindingBytes' | 'maxBufferBytes'>,
  { weightDecay = 0 }: { weightDecay?: number } = {},
): Promise<FlatVector[]> {
  const unique = parameters.filter(({ parameter }, at) => parameters.findIndex((other) => other.parameter === parameter) === at);
  if (unique.length === 0) {
    throw new LowrankError({ code: 'trainer.nothingToTrain', what: 'the parameters to train', expected: 'at least one', got: 'none', remedy: 'Inject an adapter, or unfreeze weights, before training.' });
  }
  unique.forEach((trained) => checkParameter(trained, spec));
  const vectors: FlatVector[] = [];
  for (const group of groupBySize(unique, spec.maxBindingBytes)) vectors.push(await flatten(group, weightDecay));
  return vectors;
}

/** Frees the optimizer's state and, with `weights`, the trained parameters too: their views are dead afterwards. */
export function disposeVectors(vectors: readonly FlatVector[], { weights }: { weights: boolean }): void {
  for (const { parameters, firstMoment, secondMoment, table } of vectors) {
    for (const owned of [firstMoment, secondMoment, table]) owned.dispose();
    if (weights) parameters.dispose();
  }
}

function checkParameter({ name, parameter: { tensor: value } }: TrainedParameter, spec: Pick<BackendSpec, 'maxBufferBytes'>): void {
  if (!['f32', 'f16', 'bf16'].includes(value.dtype)) {
    throw new LowrankError({ code: 'trainer.integerParameter', what: `parameter ${name}`, expected: 'f32, f16 or bf16', got: value.dtype, remedy: 'Quantized weights are trained through an adapter, not themselves.' });
  }
  if (padded(value.size) * 4 > spec.maxBufferBytes) {
    throw new LowrankError({ code: 'trainer.tooLarge', what: `parameter ${name}`, expected: `at most ${spec.maxBufferBytes} bytes in f32, the largest buffer of this device`, got: `${value.size * 4} bytes`, remedy: 'Train an adapter, or use another device.' });
  }
}

function groupBySize(parameters: readonly TrainedParameter[], maxBytes: number): TrainedParameter[][] {
  const groups: TrainedParameter[][] = [];
  let bytes = Infinity;
  for (const trained of parameters) {
    const own = padded(trained.parameter.tensor.size) * 4;
    if (bytes + own > maxBytes) {
      groups.push([]);
      bytes = 0;
    }
    groups.at(-1)?.push(trained);
    bytes += own;
  }
  return groups;
}

async function flatten(group: readonly TrainedParameter[], weightDecay: number): Promise<FlatVector> {
  const size = group.reduce((total, { parameter }) => total + padded(parameter.tensor.size), 0);
  const values = new Float32Array(size);
  const table = new Float32Array((2 * size) / segmentBlock);
  const segments: Segment[] = [];
  let offset = 0;
  for (const { name, parameter, learningRateFactor = 1, weightDecay: own = weightDecay } of group) {
    const { shape } = parameter.tensor;
    values.set(await valuesOf(parameter.tensor), offset);
    segments.push({ name, offset, shape });
    const next = offset + padded(sizeOf(shape));
    for (let block = offset / segmentBlock; block < next / segmentBlock; block++) table.set([learningRateFactor, own], 2 * block);
    offset = next;
  }
  const flat = tensor(values, [size], { name: 'parameters' });
  const views = group.map(({ parameter }, at) => {
    const view = viewAt(flat, segments[at]?.offset ?? 0, parameter.tensor.shape);
    parameter.tensor.dispose();
    parameter.tensor = view;
    return view;
  });
  return {
    size,
    segments,
    views,
    parameters: flat,
    firstMoment: persistent([size], { name: 'firstMoment' }),
    secondMoment: persistent([size], { name: 'secondMoment' }),
    table: tensor(table, [size / segmentBlock, 2], { name: 'optimizerTable' }),
  };
}

/** Values of a persistent tensor, or of a view of one (a parameter that has been trained before). */
async function valuesOf(value: Tensor): Promise<Float32Array> {
  const { source, offset } = placeOf(value);
  return toFloat32(hostArray(value.dtype, await source.read(offset, value.size * (value.dtype === 'f32' ? 4 : 2))) as HostArray, value.dtype);
}

function placeOf(value: Tensor): { source: ReturnType<typeof sourceOf>; offset: number } {
  const { node } = value;
  if (node.kind !== 'op' || node.op.alias === undefined) return { source: sourceOf(value), offset: 0 };
  const [base] = node.inputs;
  const inner = placeOf(base ?? value);
  return { source: inner.source, offset: inner.offset + (node.op.alias(node.attrs) as number) * (value.dtype === 'f32' ? 4 : 2) };
}

function padded(elements: number): number {
  return Math.ceil(elements / segmentBlock) * segmentBlock;
}
