import type { HostTensor } from '@lowrank/tensor';
import { Tensor } from '@lowrank/tensor';
import { dtypeOf } from '@lowrank/tensor/op';
import type { Spec } from '@lowrank/tensor/op';

/** The inputs of data's `TokenBatch`: what a loss takes unless its batches say otherwise. */
export type TokenInput = 'ids' | 'labels' | 'positions' | 'segments';

/**
 * One micro-batch: what one forward and backward pass reads. data's `TokenBatch` is one; a network of your own names
 * its inputs as it likes.
 */
export interface Batch<Name extends string = TokenInput> {
  /**
   * Arrays with their shapes, by the names under which the loss receives them. The dtype is the array's: Float32Array
   * f32, Int32Array i32, Uint32Array u32. A step compiles one plan for each set of shapes, so few shapes are best.
   */
  readonly inputs: Readonly<Record<Name, HostTensor>>;
  /**
   * What the loss of this batch is a sum over: label tokens, rows, elements. The loss of an optimizer step is
   * Σ loss / Σ weight over its micro-batches, so accumulated micro-batches equal one large batch. Default 1, for a loss
   * that is a mean already: micro-batches then count equally.
   */
  readonly weight?: number;
  /** Tokens, padding not counted, for the throughput that events report. Default 0. */
  readonly tokens?: number;
  /** Rows of the data, which `evaluate` counts. Default 0. */
  readonly rows?: number;
  /** Measures that the loss cannot state of this batch: a step or an evaluation with such a batch has none of them. */
  readonly unstated?: readonly string[];
}

/** A loss with what is measured beside it. */
export interface MeasuredLoss {
  readonly loss: Tensor;
  /**
   * Scalars by name, summed as the loss is: what a step or an evaluation reports of one is Σ over its batches / Σ
   * weight.
   * No gradient flows through them.
   */
  readonly measures: Readonly<Record<string, Tensor>>;
}

/**
 * The model as the trainer sees it: the inputs of a batch → Σ of its losses (or their mean, see `Batch.weight`), a
 * scalar, alone or with measures. Called to be traced, once for each set of shapes.
 */
export type LossFunction<Name extends string = TokenInput> = (
  inputs: Readonly<Record<Name, Tensor>>,
) => Tensor | MeasuredLoss;

/** The specs of a batch's inputs: what a plan is made for. */
export function inputSpecs(inputs: Readonly<Record<string, HostTensor>>): Record<string, Spec> {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { data, shape }]) => [name, { shape, dtype: dtypeOf(data) }]),
  );
}

/** A loss as the compiler calls it: with the tensors of exactly the inputs that the batch has. */
export function lossOver<Name extends string = TokenInput>(
  loss: LossFunction<Name>,
): (inputs: Readonly<Record<string, Tensor>>) => MeasuredLoss {
  return (inputs) => {
    const result = loss(inputs as Readonly<Record<Name, Tensor>>);
    return result instanceof Tensor ? { loss: result, measures: {} } : result;
  };
}

/** What is measured in a step or an evaluation, by name: Σ / Σ weight. */
export type Measures = Readonly<Record<string, number>>;

/** Those of the measures that every batch states. */
export function statedBy(measures: Measures, batches: readonly Batch<string>[]): Measures {
  const unstated = new Set(batches.flatMap((batch) => batch.unstated ?? []));
  return Object.fromEntries(Object.entries(measures).filter(([name]) => !unstated.has(name)));
}

/** Σ of the weights. */
export function totalWeight(batches: readonly Batch<string>[]): number {
  return batches.reduce((total, { weight = 1 }) => total + weight, 0);
}
