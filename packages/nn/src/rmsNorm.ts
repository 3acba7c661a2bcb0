import type { Tensor } from '@lowrank/tensor';
import { rmsNorm } from '@lowrank/tensor';
import type { Layer } from './module.js';
import { Module } from './module.js';
import { Parameter } from './parameter.js';

/**
 * x / √(mean(x²) + ε) · (w + offset) over the last axis (Zhang & Sennrich 2019); the offset is 0, or 1 as Gemma has it.
 */
export class RmsNorm extends Module implements Layer {
  readonly weight: Parameter;

  constructor(
    weight: Tensor,
    readonly epsilon: number,
    readonly offset = 0,
  ) {
    super();
    this.weight = this.parameter('weight', new Parameter(weight));
  }

  forward(x: Tensor): Tensor {
    return rmsNorm(x, this.weight.tensor, this.epsilon, this.offset);
  }
}
