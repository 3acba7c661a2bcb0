import type { Layer } from '@lowrank/nn';
import { Module } from '@lowrank/nn';
import type { DType, Tensor } from '@lowrank/tensor';
import type { EncodedMatrix } from '@lowrank/tensor/op';
import { embedding } from '@lowrank/tensor';
import { heldCodes } from './heldCodes.js';
import { QuantizedLinear } from './quantizedLinear.js';

/**
 * Rows of a frozen table [V, D] of 8-bit codes with a scale for each row, by token id: W[id] = code[id] · absmax[id] /
 * 127 (Dettmers et al. 2022's storage). No adapter goes around it, and none of its rows can be trained.
 */
export class QuantizedEmbedding extends Module implements Layer {
  constructor(
    readonly matrix: EncodedMatrix,
    /** What its numbers were before. */
    readonly dtype: DType,
  ) {
    super();
    for (const [name, parameter] of heldCodes(matrix)) this.parameter(name, parameter);
  }

  /** ids i32 [B, T] → [B, T, D] */
  forward(ids: Tensor): Tensor {
    return embedding(this.matrix, ids);
  }
}

/** An output projection over the codes of an embedding's table, which are the embedding's to free. */
export class TiedQuantizedLinear extends QuantizedLinear {
  constructor({ matrix }: QuantizedEmbedding) {
    super(matrix);
    for (const [name] of heldCodes(matrix)) this.dropParameter(name);
  }
}
