import { signature } from './arguments.js';
import { aTensor } from './tensorKinds.js';
import { LowrankError } from '@lowrank/errors';
import type { HostArray } from './dtype.js';
import { dtypeOf } from './dtype.js';
import { describe, Placeholder, Tensor } from './graph.js';
import type { Spec } from './op.js';
import type { Precision } from './precision.js';
import type { Shape } from './shape.js';
import { shapeError, showShape } from './shape.js';

/** An argument of a compiled function: host data, copied in before the run. */
export interface HostTensor {
  readonly data: HostArray;
  readonly shape: Shape;
}

/**
 * What an argument will be: its shape and dtype, and whether it is a persistent tensor of the caller's rather than host
 * data.
 */
export interface InputSpec extends Spec {
  readonly donated?: boolean;
}

/** What a function computed from its arguments, and which persistent tensors it changed. */
export interface Trace {
  readonly inputs: readonly { readonly name: string; readonly tensor: Tensor }[];
  readonly outputs: readonly { readonly name: string; readonly tensor: Tensor }[];
  /** In the order of the assignments. */
  readonly effects: readonly Effect[];
}

/** A write that a traced function leaves behind: `target` becomes `value`. */
export interface Effect {
  /** A persistent tensor, a contiguous piece of one, or a donated argument. */
  readonly target: Tensor;
  readonly value: Tensor;
}

/**
 * A function that can be compiled: named tensors in, named tensors out. It is called to be traced, once per signature
 * of its inputs.
 */
export type Traceable<Outputs extends Record<string, Tensor>> = (inputs: Record<string, Tensor>) => Outputs;

let effects: Effect[] | undefined;
let precision: Precision = 'f32';

/** What the device multiplies in that the function being traced is for. */
export function tracedPrecision(): Precision {
  return precision;
}

const checkAssign = signature('assign', { target: aTensor, value: aTensor });

/**
 * Inside a function under `compile`: from the next run on, `target` (a persistent tensor, or a contiguous view of one)
 * holds `value`. The compiler writes it in place where nothing reads the old value later. In the rest of this function
 * `target` still means the old value.
 */
export function assign(target: Tensor, value: Tensor): void {
  checkAssign(target, value);
  if (effects === undefined) {
    throw new LowrankError({
      code: 'tensor.assign',
      what: `assign to ${describe(target)}`,
      expected: 'to be inside a compiled function',
      got: 'a call outside',
      remedy: 'Put it into the function that you give to compile().',
    });
  }
  if (target.size !== value.size || target.dtype !== value.dtype) {
    throw shapeError(
      `assign to ${describe(target)}`,
      `${target.dtype}${showShape(target.shape)}`,
      `${value.dtype}${showShape(value.shape)}`,
    );
  }
  const { node } = baseOf(target);
  if (node.kind !== 'source' && !(node.kind === 'input' && node.donated)) {
    throw new LowrankError({
      code: 'tensor.assign',
      what: `assign to ${describe(target)}`,
      expected: 'a persistent tensor, a view of one, or an argument given as one',
      got: node.kind === 'input' ? 'an argument given as host data' : 'a lazy value',
    });
  }
  effects.push({ target, value });
}

/** What a view is a view of. */
function baseOf(target: Tensor): Tensor {
  const [base] = target.node.kind === 'op' && target.node.op.name === 'view' ? target.node.inputs : [];
  return base === undefined ? target : baseOf(base);
}

/** Calls `fn` on placeholders and collects what it asks for. */
export function trace<Outputs extends Record<string, Tensor>>(
  fn: Traceable<Outputs>,
  specs: Readonly<Record<string, InputSpec>>,
  forPrecision: Precision = 'f32',
): Trace {
  const inputs = Object.entries(specs).map(([name, { shape, dtype, donated }]) => ({
    name,
    tensor: new Tensor(new Placeholder(name, { shape, dtype }, donated), 0),
  }));
  const outer = { effects, precision };
  effects = [];
  precision = forPrecision;
  try {
    const result = fn(Object.fromEntries(inputs.map(({ name, tensor }) => [name, tensor])));
    return { inputs, outputs: Object.entries(result).map(([name, tensor]) => ({ name, tensor })), effects };
  } finally {
    ({ effects, precision } = outer);
  }
}

export function specOf(input: HostTensor | Tensor): InputSpec {
  return input instanceof Tensor
    ? { ...input.spec, donated: true }
    : { shape: input.shape, dtype: dtypeOf(input.data) };
}
