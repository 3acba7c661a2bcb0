import type { Tensor } from '@lowrank/tensor';
import { embedding } from '@lowrank/tensor';
import { shapeError, showShape } from '@lowrank/tensor/op';
import type { Layer } from './module.js';
import { Module, Parameter } from './module.js';

/** Rows of a table [V, D] (f32, f16 or bf16) by token id, as torch.nn.Embedding. */
export class Embedding extends Module implements Layer {
  readonly weight: Parameter;

  constructor(weight: Tensor) {
    super();
    if (weight.shape.length !== 2) throw shapeError('Embedding', 'a table [V, D]', showShape(weight.shape));
    this.weight = this.parameter('weight', new Parameter(weight));
  }

  /** ids i32 [B, T] → [B, T, D]. Ids outside the table must be refused before. */
  forward(ids: Tensor): Tensor {
    return embedding(this.weight.tensor, ids);
  }
}
