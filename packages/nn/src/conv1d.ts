import type { Tensor } from '@lowrank/tensor';
import { add, matmul } from '@lowrank/tensor';
import { shapeError, showShape } from '@lowrank/tensor/op';
import type { LinearLike } from './module.js';
import { Module } from './module.js';
import { Parameter } from './parameter.js';

/**
 * y = x·W (+ b), with W [in, out] in f32, f16 or bf16 and b [out] in f32: GPT-2's linear layer, transformers' `Conv1D`.
 * What `Linear` holds, transposed.
 */
export class Conv1d extends Module implements LinearLike {
  readonly weight: Parameter;
  readonly bias: Parameter | undefined;

  constructor(weight: Tensor, bias?: Tensor) {
    super();
    const { shape } = weight;
    if (shape.length !== 2 || (bias !== undefined && bias.shape.join() !== `${shape[1]}`)) {
      throw shapeError(
        'Conv1d',
        'a weight [in, out] and a bias [out]',
        `${showShape(shape)} and ${showShape(bias?.shape ?? [])}`,
      );
    }
    this.weight = this.parameter('weight', new Parameter(weight));
    this.bias = bias === undefined ? undefined : this.parameter('bias', new Parameter(bias));
  }

  get inFeatures(): number {
    return this.weight.tensor.shape[0] ?? 0;
  }

  get outFeatures(): number {
    return this.weight.tensor.shape[1] ?? 0;
  }

  /** x […, in] → […, out] */
  forward(x: Tensor): Tensor {
    const y = matmul(x, this.weight.tensor);
    return this.bias === undefined ? y : add(y, this.bias.tensor);
  }
}
