import type { Tensor } from '@lowrank/tensor';
import { add, full, linear, reshape } from '@lowrank/tensor';
import { shapeError, showShape } from '@lowrank/tensor/op';
import type { LinearLike } from './module.js';
import { Module, Parameter } from './module.js';
import type { Projection, ProjectionParts } from './projection.js';

/** y = x·Wᵀ (+ b), with W [out, in] in f32, f16 or bf16 and b [out] in f32, as torch.nn.Linear. */
export class Linear extends Module implements LinearLike, Projection {
  readonly weight: Parameter;
  readonly bias: Parameter | undefined;

  constructor(weight: Tensor | Parameter, bias?: Tensor) {
    super();
    this.weight = this.parameter('weight', weight instanceof Parameter ? weight : new Parameter(weight));
    this.bias = bias === undefined ? undefined : this.parameter('bias', new Parameter(bias));
    const { shape } = this.weight.tensor;
    if (shape.length !== 2 || (bias !== undefined && bias.shape.join() !== `${shape[0]}`)) {
      throw shapeError(
        'Linear',
        'a weight [out, in] and a bias [out]',
        `${showShape(shape)} and ${showShape(bias?.shape ?? [])}`,
      );
    }
  }

  get outFeatures(): number {
    return this.weight.tensor.shape[0] ?? 0;
  }

  get inFeatures(): number {
    return this.weight.tensor.shape[1] ?? 0;
  }

  /** x […, in] → […, out] */
  forward(x: Tensor): Tensor {
    const y = linear(x, this.weight.tensor);
    return this.bias === undefined ? y : add(y, this.bias.tensor);
  }

  parts(x: Tensor): ProjectionParts {
    const { bias, outFeatures } = this;
    return {
      weight: this.weight.tensor,
      terms:
        bias === undefined ? [] : [{ h: full([x.shape[0] ?? 0, 1], 1), b: reshape(bias.tensor, [outFeatures, 1]) }],
    };
  }
}
