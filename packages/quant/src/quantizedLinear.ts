import type { LinearLike, Projection, ProjectionParts } from '@lowrank/nn';
import { biasTerms, Module, Parameter } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import type { EncodedMatrix } from '@lowrank/tensor/op';
import { add, linear } from '@lowrank/tensor';
import { shapeError, showShape } from '@lowrank/tensor/op';
import { heldCodes } from './heldCodes.js';

/**
 * y = x·Wᵀ (+ b) with a frozen W [out, in] of 4-bit or 8-bit codes: the product reads the codes, forward and for dx
 * (Dettmers et al. 2023). Adapters wrap it as they wrap nn's Linear.
 */
export class QuantizedLinear extends Module implements LinearLike, Projection {
  readonly bias: Parameter | undefined;

  constructor(
    readonly matrix: EncodedMatrix,
    bias?: Tensor,
  ) {
    super();
    for (const [name, parameter] of heldCodes(matrix)) this.parameter(name, parameter);
    this.bias = bias === undefined ? undefined : this.parameter('bias', new Parameter(bias));
    if (bias !== undefined && bias.shape.join() !== `${matrix.shape[0]}`)
      throw shapeError('QuantizedLinear', `a bias [${matrix.shape[0]}]`, showShape(bias.shape));
  }

  get outFeatures(): number {
    return this.matrix.shape[0];
  }

  get inFeatures(): number {
    return this.matrix.shape[1];
  }

  /** x […, in] → […, out] */
  forward(x: Tensor): Tensor {
    const y = linear(x, this.matrix);
    return this.bias === undefined ? y : add(y, this.bias.tensor);
  }

  parts(x: Tensor): ProjectionParts {
    return { weight: this.matrix, terms: biasTerms(x, this.bias) };
  }
}
