import type { DType } from './dtype.js';
import { OpNode, Tensor } from './graph.js';
import type { Shape } from './shape.js';

/** What a value is before it exists. */
export interface Spec {
  readonly shape: Shape;
  readonly dtype: DType;
}

/** dL/d(input) for each input; undefined where none is needed or none exists. */
export type Gradients = readonly (Tensor | undefined)[];

export interface VjpContext<Attrs> {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly attrs: Attrs;
  /** dL/d(output), one per output; undefined where the output did not reach the loss. */
  readonly cotangents: readonly (Tensor | undefined)[];
  /** Which inputs need a gradient: skip the work for the others. */
  readonly needs: readonly boolean[];
}

export interface ReferenceContext<Attrs> {
  readonly inputs: readonly Float64Array[];
  /** Zero-filled; the reference writes them. */
  readonly outputs: readonly Float64Array[];
  readonly inputSpecs: readonly Spec[];
  readonly outputSpecs: readonly Spec[];
  readonly attrs: Attrs;
}

/** [input, output] that may share storage. */
export type InPlacePair = readonly [number, number];

/**
 * An op, declared once: shape rule, gradient and plain reference. Backends hold its kernels in a file of the same name.
 *
 * The reference computes in double precision on plain arrays (integers exact), written for reading: it is the oracle of every kernel test and of
 * the finite-difference checks, and is never what makes a backend fast.
 */
export interface Op<Name extends string, Attrs extends object> {
  readonly name: Name;
  /** The outputs' shapes and dtypes; throws a shape error that names the op, the rule and the offender. */
  infer(inputs: readonly Spec[], attrs: Attrs): readonly Spec[];
  /** dL/d(input) for each input that needs one. A cotangent may have the output's broadcast shape: `grad` sums it back to the input's. */
  vjp?(context: VjpContext<Attrs>): Gradients;
  reference(context: ReferenceContext<Attrs>): void;
  /** Pairs [input, output] whose storage a kernel may share: element i of the output depends on element i of that input and no other. */
  readonly inPlace?: readonly InPlacePair[] | ((attrs: Attrs) => readonly InPlacePair[]);
  /** The output is the input's own storage, from this element on: no kernel runs. */
  alias?(attrs: Attrs): number;
  /** Attributes that spare the work for outputs nobody uses. */
  prune?(attrs: Attrs, used: readonly boolean[]): Attrs;
  /** Floating-point operations, multiply and add counted apart. */
  flops?(inputs: readonly Spec[], attrs: Attrs): number;
}

// oxlint-disable-next-line typescript/no-explicit-any -- attributes are invariant in Op, and only here are ops of all kinds in one place
export type AnyOp = Op<string, any>;

/* @__NO_SIDE_EFFECTS__ */
export function defineOp<Name extends string, Attrs extends object>(op: Op<Name, Attrs>): Op<Name, Attrs> {
  return op;
}

/** Adds a node to the lazy graph and returns all its outputs. */
export function applyAll<Attrs extends object>(op: Op<string, Attrs>, inputs: readonly Tensor[], attrs: Attrs): Tensor[] {
  const outputs = op.infer(
    inputs.map((input) => input.spec),
    attrs,
  );
  const node = new OpNode(op, attrs, inputs, outputs);
  return outputs.map((_, index) => new Tensor(node, index));
}

/** Adds a node with one output (or takes the first). */
export function apply<Attrs extends object>(op: Op<string, Attrs>, inputs: readonly Tensor[], attrs: Attrs): Tensor {
  const [first] = applyAll(op, inputs, attrs);
  if (first === undefined) throw new TypeError(`${op.name} has no output`);
  return first;
}
