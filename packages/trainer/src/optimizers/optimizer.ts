import type { TrainedParameter } from '@lowrank/nn';
import type { Scalar, Shape, Tensor } from '@lowrank/tensor';
import { persistent } from '@lowrank/tensor';
import type { Segment } from '../segment.js';

/** The numbers that an optimizer is set by; each has the defaults of its reference. */
export interface OptimizerNumbers {
  /** Decay of the mean of gradients: AdamW, Lion. */
  readonly beta1?: number | undefined;
  /** Decay of the mean of squared gradients (AdamW), of the remembered momentum (Lion). */
  readonly beta2?: number | undefined;
  /** AdamW: added to the divisor. */
  readonly epsilon?: number | undefined;
  /** SGD, Muon. */
  readonly momentum?: number | undefined;
  /** SGD, Muon: a step by the gradient after the next momentum. */
  readonly nesterov?: boolean | undefined;
}

/** A tensor of an optimizer's state over a flat vector. */
export interface OptimizerTensor {
  /** Row i belongs to elements `span`·i to `span`·(i + 1) of the vector. */
  readonly tensor: Tensor;
  readonly span: number;
  /** The value of elements that belong to no parameter, between segments. Default 0. */
  readonly filler?: number;
}

/** What an optimizer remembers of a flat vector, by the names under which a checkpoint keeps it. */
export type OptimizerState = Readonly<Record<string, OptimizerTensor>>;

/** The numbers of one step, which change from step to step without a new plan. */
export interface StepScalars {
  readonly learningRate: Scalar;
  /** AdamW's lr/(1 − β₁ᵗ). */
  readonly stepSize: Scalar;
  /** AdamW's 1/√(1 − β₂ᵗ). */
  readonly biasScale: Scalar;
}

/** A flat vector and its gradient, to be updated. */
export interface VectorUpdate {
  readonly parameters: Tensor;
  readonly gradient: Tensor;
  readonly state: OptimizerState;
  readonly constants: Readonly<Record<string, Tensor>>;
  /** [⌈size/64⌉, 2]: learning-rate factor and weight decay of each block of 64 elements. */
  readonly table: Tensor;
  readonly segments: readonly Segment[];
  readonly scalars: StepScalars;
  /** Factor on the gradient; where it is not finite, the update writes nothing. */
  readonly clip: Tensor;
  readonly numbers: OptimizerNumbers;
}

/** The values after a step: of the parameters, and of each tensor of the state. */
export interface UpdatedVector {
  readonly parameters: Tensor;
  readonly state: Readonly<Record<string, Tensor>>;
}

/** How one flat vector is updated, and what is remembered of it. Parameters with different rules share no vector. */
export interface UpdateRule {
  /** Parameters begin at multiples of so many elements of their vector. */
  readonly alignment: number;
  /** Zeros, for a vector of this shape. */
  makeState(shape: Shape): OptimizerState;
  /** What never changes: made once for all vectors of a run, and kept in no checkpoint. */
  makeConstants?(): Readonly<Record<string, Tensor>>;
  /** Traces one step. */
  update(vector: VectorUpdate): UpdatedVector;
}

/** An optimizer: which rule each parameter goes by. */
export interface Optimizer {
  /** What its name alone does not say: a part of a sentence, for help. */
  readonly help: string;
  /** The rules that there are, in the order of their vectors. */
  readonly rules: readonly UpdateRule[];
  readonly ruleOf: (trained: TrainedParameter) => UpdateRule;
  /** Defaults of the numbers that it takes; it takes no others. */
  readonly defaults: OptimizerNumbers;
}

/** State of the vector's own shape, in f32. */
export function stateLike(shape: Shape, name: string): OptimizerTensor {
  return { tensor: persistent(shape, { name }), span: 1 };
}

/** A tensor of the state; that there is one is the rule's own promise. */
export function stateNamed(state: OptimizerState, name: string): Tensor {
  const found = state[name];
  if (found === undefined) throw new TypeError(`an optimizer's state without ${name}`);
  return found.tensor;
}
