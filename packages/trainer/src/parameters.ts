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
  const vectors: FlatVector[] = [];
  for (const group of groups(parameters, spec)) vectors.push(await flatten(group, weightDecay));
  return vectors;
}

/** The same vectors without their values, for planning: each holds nothing and costs nothing until it is used. Throws the same. */
export function outlineParameters(parameters: readonly TrainedParameter[], spec: Pick<BackendSpec, 'maxBindingBytes' | 'maxBufferBytes'>): FlatVector[] {
  return groups(parameters, spec).map((group) => {
    const layout = layOut(group);
    const { size } = layout;
    return takeOver(group, layout, { parameters: persistent([size], { name: 'parameters' }), table: persistent([size / segmentBlock, 2], { name: 'optimizerTable' }) });
  });
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

/** Each parameter once, checked, in groups that fit a binding. */
function groups(parameters: readonly TrainedParameter[], spec: Pick<BackendSpec, 'maxBindingBytes' | 'maxBufferBytes'>): TrainedParameter[][] {
  const seen = new Set<TrainedParameter['parameter']>();
  const unique = parameters.filter(({ parameter }) => !seen.has(parameter) && seen.add(parameter));
  if (unique.length === 0) {
    throw new LowrankError({ code: 'trainer.nothingToTrain', what: 'the parameters to train', expected: 'at least one', got: 'none', remedy: 'Inject an adapter, or unfreeze weights, before training.' });
  }
  unique.forEach((trained) => checkParameter(trained, spec));
  return groupBySize(unique, spec.maxBindingBytes);
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

interface Layout {
  readonly size: number;
  readonly segments: readonly Segment[];
}

function layOut(group: readonly TrainedParameter[]): Layout {
  let size = 0;
  const segments = group.map(({ name, parameter: { tensor: { shape } } }): Segment => {
    const offset = size;
    size += padded(sizeOf(shape));
    return { name, offset, shape };
  });
  return { size, segments };
}

async function flatten(group: readonly TrainedParameter[], weightDecay: number): Promise<FlatVector> {
  const layout = layOut(group);
  const { size, segments } = layout;
  const values = new Float32Array(size);
  const table = new Float32Array((2 * size) / segmentBlock);
  for (const [at, { parameter, learningRateFactor = 1, weightDecay: own = weightDecay }] of group.entries()) {
    const offset = segments[at]?.offset ?? 0;
    values.set(await valuesOf(parameter.tensor), offset);
    const next = segments[at + 1]?.offset ?? size;
    for (let block = offset / segmentBlock; block < next / segmentBlock; block++) table.set([learningRateFactor, own], 2 * block);
  }
  return takeOver(group, layout, { parameters: tensor(values, [size], { name: 'parameters' }), table: tensor(table, [size / segmentBlock, 2], { name: 'optimizerTable' }) });
}

/** The parameters become views of the flat vector; the tensors that they were are freed. */
function takeOver(group: readonly TrainedParameter[], { size, segments }: Layout, { parameters, table }: { parameters: Tensor; table: Tensor }): FlatVector {
  const views = group.map(({ parameter }, at) => {
    const view = viewAt(parameters, segments[at]?.offset ?? 0, parameter.tensor.shape);
    parameter.tensor.dispose();
    parameter.tensor = view;
    return view;
  });
  return { size, segments, views, parameters, firstMoment: persistent([size], { name: 'firstMoment' }), secondMoment: persistent([size], { name: 'secondMoment' }), table };
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
