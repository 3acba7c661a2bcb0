import type { Layer, LinearLike } from '@lowrank/nn';
import { Module, Parameter } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { add, reshape } from '@lowrank/tensor';
import { sizeOf } from '@lowrank/tensor/op';

/**
 * y = base(x) + b: what training has added to a layer's bias, kept apart from the layer, so that the base stays as
 * it was, quantized or not.
 */
export class BiasShift extends Module implements LinearLike {
  readonly shift: Parameter;

  constructor(
    readonly base: Layer,
    shift: Tensor,
    readonly inFeatures: number,
  ) {
    super();
    this.child('base_layer', base);
    this.shift = this.parameter('beft_bias', new Parameter(shift));
  }

  get outFeatures(): number {
    return sizeOf(this.shift.tensor.shape);
  }

  /** x […, in] → […, out] */
  forward(x: Tensor): Tensor {
    return add(this.base.forward(x), reshape(this.shift.tensor, [this.outFeatures]));
  }
}
