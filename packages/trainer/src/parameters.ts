import { LowrankError } from '@lowrank/errors';
import type { TrainedParameter } from '@lowrank/nn';
import type { HostArray, Shape, Tensor } from '@lowrank/tensor';
import type { BackendSpec } from '@lowrank/tensor/backend';
import { persistent, tensor, toFloat32 } from '@lowrank/tensor';
import { hostArray, segmentBlock, sourceOf, owningViews } from '@lowrank/tensor/op';
import type { OptimizerName } from './optimizers/index.js';
import { optimizerNamed } from './optimizers/index.js';
import type { OptimizerState, UpdateRule } from './optimizers/optimizer.js';
import type { Segment } from './segment.js';

/**
 * Parameters one after another in one buffer, with the optimizer's state beside them. All f32; what lies between
 * segments
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
  /** How it is updated. */
  readonly rule: UpdateRule;
  /** What the rule remembers of it: what a checkpoint keeps. */
  readonly state: OptimizerState;
  /** What the rule reads and never writes, shared by all vectors. */
  readonly constants: Readonly<Record<string, Tensor>>;
  /** `[⌈size/64⌉, 2]`: learning-rate factor and weight decay of each block of 64 elements. */
  readonly table: Tensor;
  /** The parameters' own tensors: views of `parameters`, in the order of `segments`. */
  readonly views: readonly Tensor[];
}

/**
 * Moves trained parameters into flat f32 vectors, so that clipping and the optimizer are a kernel or two and not one
 * per matrix.
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
  const constants = constantsOnce();
  for (const layout of layouts(parameters, spec, { optimizer, weightDecay }))
    vectors.push(await flatten(layout, constants));
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
  const constants = constantsOnce();
  return layouts(parameters, spec, { optimizer, weightDecay: 0 }).map((layout) => {
    const { size, shape } = layout;
    return takeOver(
      layout,
      {
        parameters: persistent(shape, { name: 'parameters' }),
        table: persistent([Math.ceil(size / segmentBlock), 2], { name: 'optimizerTable' }),
      },
      constants,
    );
  });
}

/** Frees the optimizer's state and, with `weights`, the trained parameters too: their views are dead afterwards. */
export function disposeVectors(vectors: readonly FlatVector[], { weights }: { weights: boolean }): void {
  for (const { parameters, state, constants, table } of vectors) {
    const owned = [...Object.values(state).map(({ tensor: value }) => value), ...Object.values(constants), table];
    for (const value of owned) value.dispose();
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
  readonly rule: UpdateRule;
  readonly size: number;
  readonly shape: Shape;
  readonly segments: readonly Segment[];
}

/** Each parameter once, checked, in vectors that fit a binding; in the order of the optimizer's rules. */
function layouts(
  parameters: readonly TrainedParameter[],
  { maxBindingBytes }: Pick<BackendSpec, 'maxBindingBytes'>,
  { optimizer, weightDecay }: { optimizer: OptimizerName; weightDecay: number },
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
  const { rules, ruleOf } = optimizerNamed(optimizer);
  return rules.flatMap((rule) =>
    groupBySize(
      unique.filter((trained) => ruleOf(trained) === rule),
      maxBindingBytes,
      rule.alignment,
    ).map((group) => layOut(group, { rule, maxBytes: maxBindingBytes, weightDecay })),
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

function layOut(
  group: readonly TrainedParameter[],
  { rule, maxBytes, weightDecay }: { rule: UpdateRule; maxBytes: number; weightDecay: number },
): Layout {
  const segmentOf = (trained: TrainedParameter, offset: number): Segment => ({
    name: trained.name,
    offset,
    shape: trained.parameter.tensor.shape,
    learningRateFactor: trained.learningRateFactor ?? 1,
    weightDecay: trained.weightDecay ?? (isDecayed(trained.name) ? weightDecay : 0),
  });
  const [only, second] = group;
  if (only !== undefined && second === undefined && only.parameter.tensor.size * 4 > maxBytes) {
    const { shape, size } = only.parameter.tensor;
    return { group, rule, size, shape, segments: [segmentOf(only, 0)] };
  }
  let size = 0;
  const segments = group.map((trained) => {
    const offset = size;
    size += padded(trained.parameter.tensor.size, rule.alignment);
    return segmentOf(trained, offset);
  });
  return { group, rule, size, shape: [size], segments };
}

/**
 * Whether weight decay is for a parameter that says nothing of it: not for norms and biases, which Hugging Face's
 * Trainer leaves out by these names (`get_decay_parameter_names`); `ln_` is GPT-2's, which it knows by its class.
 */
function isDecayed(name: string): boolean {
  return !/bias|layernorm|rmsnorm|(?:^|\.)norm(?:$|\.)|_norm(?:$|\.)|(?:^|\.)ln_\w+(?:$|\.)/i.test(name);
}

async function flatten(layout: Layout, constants: ConstantsOf): Promise<FlatVector> {
  const { group, size, shape, segments } = layout;
  const values = new Float32Array(size);
  const lines = Math.ceil(size / segmentBlock);
  const table = new Float32Array(2 * lines);
  for (const [at, { offset, learningRateFactor, weightDecay }] of segments.entries()) {
    const trained = group[at];
    if (trained !== undefined) values.set(await valuesOf(trained.parameter.tensor), offset);
    const next = segments[at + 1]?.offset ?? size;
    for (let block = offset / segmentBlock; block < next / segmentBlock; block++)
      table.set([learningRateFactor, weightDecay], 2 * block);
  }
  return takeOver(
    layout,
    {
      parameters: tensor(values, shape, { name: 'parameters' }),
      table: tensor(table, [lines, 2], { name: 'optimizerTable' }),
    },
    constants,
  );
}

/**
 * The parameters become views of the flat vector, which they own together: it lives as long as one of them does. The
 * tensors that they were are freed.
 */
function takeOver(
  { group, rule, size, shape, segments }: Layout,
  { parameters, table }: { parameters: Tensor; table: Tensor },
  constants: ConstantsOf,
): FlatVector {
  const views = owningViews(parameters, segments);
  group.forEach(({ parameter }, at) => {
    const view = views[at];
    if (view === undefined) return;
    parameter.tensor.dispose();
    parameter.tensor = view;
  });
  const state = rule.makeState(shape);
  return { size, shape, segments, views, parameters, rule, state, constants: constants(rule), table };
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

type ConstantsOf = (rule: UpdateRule) => FlatVector['constants'];

/** The constants of each rule, made once. */
function constantsOnce(): ConstantsOf {
  const made = new Map<UpdateRule, FlatVector['constants']>();
  return (rule) => {
    const known = made.get(rule) ?? rule.makeConstants?.() ?? {};
    made.set(rule, known);
    return known;
  };
}
