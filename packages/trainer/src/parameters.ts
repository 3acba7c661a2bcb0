import { LowrankError } from '@lowrank/errors';
import type { TrainedParameter } from '@lowrank/nn';
import type { HostArray, Shape, Tensor } from '@lowrank/tensor';
import type { BackendSpec } from '@lowrank/tensor/backend';
import { persistent, tensor, toFloat32 } from '@lowrank/tensor';
import { hostArray, segmentBlock, sizeOf, sourceOf, owningViews } from '@lowrank/tensor/op';
import type { Moments, OptimizerName } from './moments.js';
import { alignmentOf, makeMoments, mapsTensor, momentTensors, smallest8bit } from './moments.js';

/** Where a parameter lies within its flat vector. */
export interface Segment {
  readonly name: string;
  /** First element, a multiple of 64 (of 256 where moments have 8 bits). */
  readonly offset: number;
  readonly shape: Shape;
}

/**
 * Parameters one after another in one buffer, with the state of AdamW beside them. All f32; what lies between segments
 * is zero.
 */
export interface FlatVector {
  readonly size: number;
  /**
   * [size], or the shape of a single parameter that is larger than one binding: such a vector is cut by rows, as all
   * large tensors are.
   */
  readonly shape: Shape;
  readonly segments: readonly Segment[];
  readonly parameters: Tensor;
  readonly moments: Moments;
  /** [⌈size/64⌉, 2]: learning-rate factor and weight decay of each block of 64 elements. */
  readonly table: Tensor;
  /** The parameters' own tensors: views of `parameters`, in the order of `segments`. */
  readonly views: readonly Tensor[];
}

/**
 * Moves trained parameters into flat f32 vectors, so that clipping and AdamW are a kernel each and not one per matrix.
 * Segments begin at multiples of 64 elements (256 where moments have 8 bits), and no vector is larger than one binding
 * of the device, unless a single parameter is. Each `parameter.tensor` becomes a view of its place; the tensors that
 * held the values before are freed.
 *
 * @throws LowrankError `trainer.nothingToTrain`, `trainer.integerParameter`
 */
export async function flattenParameters(
  parameters: readonly TrainedParameter[],
  spec: Pick<BackendSpec, 'maxBindingBytes'>,
  { weightDecay = 0, optimizer = 'adamw' }: { weightDecay?: number; optimizer?: OptimizerName } = {},
): Promise<FlatVector[]> {
  const vectors: FlatVector[] = [];
  const maps = once(mapsTensor);
  for (const layout of layouts(parameters, spec, optimizer)) vectors.push(await flatten(layout, weightDecay, maps));
  return vectors;
}

/**
 * The same vectors without their values, for planning: each holds nothing and costs nothing until it is used. Throws
 * the same.
 */
export function outlineParameters(
  parameters: readonly TrainedParameter[],
  spec: Pick<BackendSpec, 'maxBindingBytes'>,
  { optimizer = 'adamw' }: { optimizer?: OptimizerName } = {},
): FlatVector[] {
  const maps = once(mapsTensor);
  return layouts(parameters, spec, optimizer).map((layout) => {
    const { size, shape } = layout;
    return takeOver(
      layout,
      {
        parameters: persistent(shape, { name: 'parameters' }),
        table: persistent([Math.ceil(size / segmentBlock), 2], { name: 'optimizerTable' }),
      },
      maps,
    );
  });
}

/** Frees the optimizer's state and, with `weights`, the trained parameters too: their views are dead afterwards. */
export function disposeVectors(vectors: readonly FlatVector[], { weights }: { weights: boolean }): void {
  for (const { parameters, moments, table } of vectors) {
    for (const owned of [...momentTensors(moments), table]) owned.dispose();
    if (weights) parameters.dispose();
  }
}

function checkParameter({ name, parameter: { tensor: value } }: TrainedParameter): void {
  if (!['f32', 'f16', 'bf16'].includes(value.dtype)) {
    throw new LowrankError({
      code: 'trainer.integerParameter',
      what: `parameter ${name}`,
      expected: 'f32, f16 or bf16',
      got: value.dtype,
      remedy: 'Quantized weights are trained through an adapter, not themselves.',
    });
  }
}

interface Layout {
  readonly group: readonly TrainedParameter[];
  readonly bits: Moments['bits'];
  readonly size: number;
  readonly shape: Shape;
  readonly segments: readonly Segment[];
}

/** Each parameter once, checked, in vectors that fit a binding; those with moments in f32 first. */
function layouts(
  parameters: readonly TrainedParameter[],
  { maxBindingBytes }: Pick<BackendSpec, 'maxBindingBytes'>,
  optimizer: OptimizerName,
): Layout[] {
  const seen = new Set<TrainedParameter['parameter']>();
  const unique = parameters.filter(({ parameter }) => !seen.has(parameter) && seen.add(parameter));
  if (unique.length === 0) {
    throw new LowrankError({
      code: 'trainer.nothingToTrain',
      what: 'the parameters to train',
      expected: 'at least one',
      got: 'none',
      remedy: 'Inject an adapter, or list the weights to train.',
    });
  }
  unique.forEach(checkParameter);
  const bitsOf = ({ parameter }: TrainedParameter): Moments['bits'] =>
    optimizer === 'adamw8bit' && parameter.tensor.size >= smallest8bit ? 8 : 32;
  return ([32, 8] as const).flatMap((bits) =>
    groupBySize(
      unique.filter((trained) => bitsOf(trained) === bits),
      maxBindingBytes,
      alignmentOf(bits),
    ).map((group) => layOut(group, bits, maxBindingBytes)),
  );
}

function groupBySize(
  parameters: readonly TrainedParameter[],
  maxBytes: number,
  alignment: number,
): TrainedParameter[][] {
  const groups: TrainedParameter[][] = [];
  let bytes = Infinity;
  for (const trained of parameters) {
    const own = padded(trained.parameter.tensor.size, alignment) * 4;
    if (bytes + own > maxBytes) {
      groups.push([]);
      bytes = 0;
    }
    groups.at(-1)?.push(trained);
    bytes += own;
  }
  return groups;
}

function layOut(group: readonly TrainedParameter[], bits: Moments['bits'], maxBytes: number): Layout {
  const [only, second] = group;
  if (only !== undefined && second === undefined && only.parameter.tensor.size * 4 > maxBytes) {
    const { shape, size } = only.parameter.tensor;
    return { group, bits, size, shape, segments: [{ name: only.name, offset: 0, shape }] };
  }
  let size = 0;
  const segments = group.map(
    ({
      name,
      parameter: {
        tensor: { shape },
      },
    }): Segment => {
      const offset = size;
      size += padded(sizeOf(shape), alignmentOf(bits));
      return { name, offset, shape };
    },
  );
  return { group, bits, size, shape: [size], segments };
}

/**
 * Whether weight decay is for a parameter that says nothing of it: not for norms and biases, which Hugging Face's
 * Trainer leaves out by these names (`get_decay_parameter_names`); `ln_` is GPT-2's, which it knows by its class.
 */
function isDecayed(name: string): boolean {
  return !/bias|layernorm|rmsnorm|(?:^|\.)norm(?:$|\.)|_norm(?:$|\.)|(?:^|\.)ln_\w+(?:$|\.)/i.test(name);
}

async function flatten(layout: Layout, weightDecay: number, maps: () => Tensor): Promise<FlatVector> {
  const { group, size, shape, segments } = layout;
  const values = new Float32Array(size);
  const lines = Math.ceil(size / segmentBlock);
  const table = new Float32Array(2 * lines);
  for (const [at, { name, parameter, learningRateFactor = 1, weightDecay: given }] of group.entries()) {
    const own = given ?? (isDecayed(name) ? weightDecay : 0);
    const offset = segments[at]?.offset ?? 0;
    values.set(await valuesOf(parameter.tensor), offset);
    const next = segments[at + 1]?.offset ?? size;
    for (let block = offset / segmentBlock; block < next / segmentBlock; block++)
      table.set([learningRateFactor, own], 2 * block);
  }
  return takeOver(
    layout,
    {
      parameters: tensor(values, shape, { name: 'parameters' }),
      table: tensor(table, [lines, 2], { name: 'optimizerTable' }),
    },
    maps,
  );
}

/**
 * The parameters become views of the flat vector, which they own together: it lives as long as one of them does. The
 * tensors that they were are freed.
 */
function takeOver(
  { group, bits, size, shape, segments }: Layout,
  { parameters, table }: { parameters: Tensor; table: Tensor },
  maps: () => Tensor,
): FlatVector {
  const views = owningViews(parameters, segments);
  group.forEach(({ parameter }, at) => {
    const view = views[at];
    if (view === undefined) return;
    parameter.tensor.dispose();
    parameter.tensor = view;
  });
  return { size, shape, segments, views, parameters, moments: makeMoments(shape, bits, maps), table };
}

/** Values of a persistent tensor, or of a view of one (a parameter that has been trained before). */
async function valuesOf(value: Tensor): Promise<Float32Array> {
  const { source, offset } = placeOf(value);
  return toFloat32(
    hostArray(value.dtype, await source.read(offset, value.size * (value.dtype === 'f32' ? 4 : 2))) as HostArray,
    value.dtype,
  );
}

function placeOf(value: Tensor): { source: ReturnType<typeof sourceOf>; offset: number } {
  const { node } = value;
  if (node.kind !== 'op' || node.op.alias === undefined) return { source: sourceOf(value), offset: 0 };
  const [base] = node.inputs;
  const inner = placeOf(base ?? value);
  return {
    source: inner.source,
    offset: inner.offset + (node.op.alias(node.attrs) as number) * (value.dtype === 'f32' ? 4 : 2),
  };
}

function padded(elements: number, alignment: number): number {
  return Math.ceil(elements / alignment) * alignment;
}

function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}
