import type { Tensor } from '@lowrank/tensor';
import { full, layerNorm } from '@lowrank/tensor';
import { shapeError, showShape } from '@lowrank/tensor/op';
import type { Layer } from './module.js';
import { Module } from './module.js';
import { Parameter } from './parameter.js';

/** (x − μ) / √(mean((x − μ)²) + ε) · w + b over the last axis (Ba et al. 2016), as torch.nn.LayerNorm. */
export class LayerNorm extends Module implements Layer {
  readonly weight: Parameter;
  /** None where the checkpoint has none: b = 0. */
  readonly bias: Parameter | undefined;

  constructor(
    { weight, bias }: { readonly weight: Tensor; readonly bias?: Tensor | undefined },
    readonly epsilon: number,
  ) {
    super();
    if (weight.shape.length !== 1 || (bias !== undefined && weight.size !== bias.size))
      throw shapeError(
        'LayerNorm',
        'a weight and a bias [D]',
        `${showShape(weight.shape)} and ${showShape(bias?.shape ?? [])}`,
      );
    this.weight = this.parameter('weight', new Parameter(weight));
    this.bias = bias === undefined ? undefined : this.parameter('bias', new Parameter(bias));
  }

  forward(x: Tensor): Tensor {
    const { tensor: weight } = this.weight;
    return layerNorm(x, weight, this.bias?.tensor ?? full(weight.shape, 0), this.epsilon);
  }
}
