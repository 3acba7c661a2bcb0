import { LowrankError } from '@lowrank/errors';
import { currentBlock } from './checkpoint.js';
import type { DType } from './dtype.js';
import type { Shape } from './shape.js';
import { shapeError, sizeOf } from './shape.js';
import type { Source } from './source.js';
import { nextNodeId } from './source.js';
import type { LeftForm, ProductEpilogue, Spec } from './spec.js';

/**
 * The lazy graph. A Tensor is one output of a node; nodes hold what to compute, never a result. Leaves are where
 * data comes from: a Source (persistent, on the host until first used, then on one backend), a Scalar (a number that
 * the host may change between runs) and a Placeholder (an argument of a compiled function).
 */
export type Node = OpNode | Source | Scalar | Placeholder;

const scopes: string[] = [];

/** Names every op made inside `fn` after the module path that made it, for dumps and errors. */
export function scope<T>(name: string, fn: () => T): T {
  if (name === '') return fn();
  scopes.push(name);
  try {
    return fn();
  } finally {
    scopes.pop();
  }
}

export function currentScope(): string {
  return scopes.join('.');
}

/** dL/d(input) for each input; undefined where none is needed or none exists. */
export type Gradients = readonly (Tensor | undefined)[];

/** Places of operands among an op's inputs, and among its outputs. */
export interface Halves {
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
}

/** What an op's gradient rule is given. */
export interface VjpContext<Attrs> {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly attrs: Attrs;
  /** dL/d(output), one per output; undefined where the output did not reach the loss. */
  readonly cotangents: readonly (Tensor | undefined)[];
  /** Which inputs need a gradient: skip the work for the others. */
  readonly needs: readonly boolean[];
}

/** What an op's reference is given; all numbers are in double precision. */
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
 * The reference computes in double precision on plain arrays (integers exact), written for reading: it is the oracle of
 * every kernel test and of the finite-difference checks, and is never what makes a backend fast.
 */
export interface Op<Name extends string, Attrs extends object> {
  readonly name: Name;
  /** The outputs' shapes and dtypes; throws a shape error that names the op, the rule and the offender. */
  infer(inputs: readonly Spec[], attrs: Attrs): readonly Spec[];
  /**
   * dL/d(input) for each input that needs one. A cotangent may have the output's broadcast shape: `grad` sums it back
   * to the input's.
   */
  vjp?(context: VjpContext<Attrs>): Gradients;
  reference(context: ReferenceContext<Attrs>): void;
  /**
   * Pairs [input, output] whose storage a kernel may share: element i of the output depends on element i of that input
   * and no other.
   */
  readonly inPlace?: readonly InPlacePair[] | ((attrs: Attrs) => readonly InPlacePair[]);
  /**
   * Kernels always work in place on the pairs of `inPlace`: where the old value is still needed, it is copied first.
   */
  readonly inPlaceOnly?: boolean;
  /** The output is the input's own storage, from this element on: no kernel runs. */
  alias?(attrs: Attrs): number;
  /** Attributes that spare the work for outputs nobody uses. */
  prune?(attrs: Attrs, used: readonly boolean[]): Attrs;
  /**
   * The attributes of this op with its output multiplied by one number, which becomes its last input; undefined where
   * its kernels cannot.
   */
  absorbScale?(attrs: Attrs): Attrs | undefined;
  /** The same of an array of the output's size that is added to it. */
  absorbAddend?(attrs: Attrs): Attrs | undefined;
  /**
   * How a product of few rows makes this op's output itself, as its left operand, from the op's two inputs in their
   * order.
   */
  asLeftOperand?(attrs: Attrs): LeftForm;
  /** How a product makes this op's outputs where it writes its own result, of which it is all that is read. */
  asEpilogue?(attrs: Attrs): ProductEpilogue;
  /**
   * For a backward op: with these attributes it makes the output of the forward op `op` once more, as its last output,
   * of its own first inputs.
   */
  readonly remakes?: { readonly op: string; readonly inputs: number; readonly attrs: Attrs };
  /**
   * Operands that 16 bits are enough for in mixed precision, by place: those that products round so anyway, what is
   * kept for the backward pass, and gradients on their way to a product. Sums, and what adds up from layer to layer,
   * are not among them.
   */
  halves?(attrs: Attrs): Halves;
  /** Floating-point operations, multiply and add counted apart. */
  flops?(inputs: readonly Spec[], attrs: Attrs): number;
}

// Attributes are invariant in Op, and only here do ops of all kinds stand in one place.
// oxlint-disable-next-line typescript/no-explicit-any -- see above
export type AnyOp = Op<string, any>;

export interface OpParts {
  readonly op: AnyOp;
  readonly attrs: object;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Spec[];
}

export class OpNode implements OpParts {
  readonly kind = 'op';
  readonly id = nextNodeId();
  readonly op: AnyOp;
  readonly attrs: object;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Spec[];
  readonly scope: string;
  /** The checkpointed block that this is part of. */
  readonly block = currentBlock();
  /**
   * The checkpointed block that this computes a second time: never the same as the first time, equal though they are.
   */
  readonly recomputes: number | undefined;

  constructor(
    { op, attrs, inputs, outputs }: OpParts,
    { scope: path = currentScope(), recomputes }: { scope?: string; recomputes?: number } = {},
  ) {
    this.op = op;
    this.attrs = attrs;
    this.inputs = inputs;
    this.outputs = outputs;
    this.scope = path;
    this.recomputes = recomputes;
  }
}

export class Placeholder {
  readonly kind = 'input';
  readonly id = nextNodeId();
  constructor(
    readonly name: string,
    readonly spec: Spec,
    /** The caller hands over a persistent tensor, not host data: it may be written in place. */
    readonly donated = false,
  ) {}
}

/**
 * A number the host may change between runs without a new plan: learning rate, step, seed, LoRA scale, token count,
 * cache position. (A JavaScript number in an expression is a constant of the plan instead.)
 */
export class Scalar {
  readonly kind = 'scalar';
  readonly id = nextNodeId();
  readonly spec: Spec;

  constructor(
    public value: number,
    readonly dtype: 'f32' | 'i32' | 'u32' = 'f32',
    readonly name = 'scalar',
  ) {
    this.spec = { shape: [], dtype };
    this.tensor = new Tensor(this, 0);
  }

  /** This scalar as a 0-d tensor. */
  readonly tensor: Tensor;
}

/** One value of the lazy graph: what it will be, not yet what it is. */
export class Tensor {
  constructor(
    readonly node: Node,
    readonly index: number,
  ) {}

  get spec(): Spec {
    const spec = this.node.kind === 'op' ? this.node.outputs[this.index] : this.node.spec;
    if (spec === undefined) throw shapeError(`output ${this.index} of ${describe(this)}`, 'an existing output', 'none');
    return spec;
  }

  get shape(): Shape {
    return this.spec.shape;
  }

  get dtype(): DType {
    return this.spec.dtype;
  }

  get size(): number {
    return sizeOf(this.shape);
  }

  /** What disposing this tensor frees, where that is not its own: see `owningViews`. */
  #release: (() => void) | undefined;

  /** Frees a persistent tensor's memory; other tensors own none. */
  dispose(): void {
    if (this.node.kind === 'source') this.node.dispose();
    this.#release?.();
    this.#release = undefined;
  }

  /** Runs `release` once, when this tensor is disposed. */
  releasing(release: () => void): this {
    this.#release = release;
    return this;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** What a person calls this tensor: its name, or its op and the module path that made it. */
export function describe({ node }: Tensor): string {
  if (node.kind !== 'op') return node.name;
  return node.scope === '' ? node.op.name : `${node.op.name} in ${node.scope}`;
}

/** The Source behind a persistent tensor; an error for a lazy one. */
export function sourceOf(value: Tensor): Source {
  if (value.node.kind === 'source') return value.node;
  throw new LowrankError({
    code: 'tensor.lazy',
    what: describe(value),
    expected: 'a persistent tensor',
    got: 'a lazy one',
  });
}
