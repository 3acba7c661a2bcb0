import type { Tensor } from '@lowrank/tensor';
import { rmsNorm } from '@lowrank/tensor';
import type { Layer } from './module.js';
import { Module, Parameter } from './module.js';

/** x / √(mean(x²) + ε) · w over the last axis (Zhang & Sennrich 2019). */
export class RmsNorm extends Module implements Layer {
  readonly weight: Parameter;

  constructor(
    weight: Tensor,
    readonly epsilon: number,
  ) {
    super();
    this.weight = this.parameter('weight', new Parameter(weight));
  }

  forward(x: Tensor): Tensor {
    return rmsNorm(x, this.weight.tensor, this.epsilon);
  }
}
