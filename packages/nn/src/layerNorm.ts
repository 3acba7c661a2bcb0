import type { Tensor } from '@lowrank/tensor';
import { layerNorm } from '@lowrank/tensor';
import { shapeError, showShape } from '@lowrank/tensor/op';
import type { Layer } from './module.js';
import { Module } from './module.js';
import { Parameter } from './parameter.js';

/** (x − μ) / √(mean((x − μ)²) + ε) · w + b over the last axis (Ba et al. 2016), as torch.nn.LayerNorm. */
export class LayerNorm extends Module implements Layer {
  readonly weight: Parameter;
  readonly bias: Parameter;

  constructor(
    { weight, bias }: { readonly weight: Tensor; readonly bias: Tensor },
    readonly epsilon: number,
  ) {
    super();
    if (weight.shape.length !== 1 || weight.size !== bias.size)
      throw shapeError(
        'LayerNorm',
        'a weight and a bias [D]',
        `${showShape(weight.shape)} and ${showShape(bias.shape)}`,
      );
    this.weight = this.parameter('weight', new Parameter(weight));
    this.bias = this.parameter('bias', new Parameter(bias));
  }

  forward(x: Tensor): Tensor {
    return layerNorm(x, this.weight.tensor, this.bias.tensor, this.epsilon);
  }
}
