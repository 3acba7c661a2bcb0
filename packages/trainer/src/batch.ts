import type { TokenBatch } from '@lowrank/data';
import type { HostTensor, Tensor } from '@lowrank/tensor';
import type { Spec } from '@lowrank/tensor/op';

/** A token batch within a traced function: i32 tensors; what each holds is told by data's TokenBatch. */
export interface BatchTensors {
  /** [B, T] */
  readonly ids: Tensor;
  /** [B, T], shifted; −100 where nothing is to be learned. */
  readonly labels: Tensor;
  /** [B, T] */
  readonly positions: Tensor;
  /** [B, T, 2] */
  readonly segments: Tensor;
}

/**
 * The model as the trainer sees it: a batch → Σ over label tokens of −log p(label), a scalar. Called to be traced, once
 * per batch shape.
 */
export type LossFunction = (batch: BatchTensors) => Tensor;

/** The shape of a batch: what a plan is made for. */
export type BatchShape = Pick<TokenBatch, 'batch' | 'length'>;

/** The arguments of a compiled function that takes a batch. */
export function batchInputs({
  batch,
  length,
  ids,
  labels,
  positions,
  segments,
}: TokenBatch): Record<keyof BatchTensors, HostTensor> {
  const shape = [batch, length];
  return {
    ids: { data: ids, shape },
    labels: { data: labels, shape },
    positions: { data: positions, shape },
    segments: { data: segments, shape: [batch, length, 2] },
  };
}

/** The specs of the arguments, with no data. */
export function batchSpecs({ batch, length }: BatchShape): Record<keyof BatchTensors, Spec> {
  const row = { shape: [batch, length], dtype: 'i32' as const };
  return { ids: row, labels: row, positions: row, segments: { shape: [batch, length, 2], dtype: 'i32' } };
}

/** The traced arguments by name. */
export function asBatch({ ids, labels, positions, segments }: Readonly<Record<string, Tensor>>): BatchTensors {
  if (ids === undefined || labels === undefined || positions === undefined || segments === undefined)
    throw new TypeError('a batch has ids, labels, positions and segments');
  return { ids, labels, positions, segments };
}
