import type { LinearLike } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { linear } from '@lowrank/tensor';
import { sourceOf } from '@lowrank/tensor/op';
import type { BankAbilities } from './layer.js';
import { LoraBankLayer } from './layer.js';
import type { BankMix } from './mix.js';

/**
 * A linear layer with a bank of adapters. The compiler takes the last product into the base's own, over any encoding of
 * its weight, while slots·R is at most 128.
 */
export class LoraBankLinear extends LoraBankLayer implements LinearLike {
  /** [slots·R, in] */
  private readonly down: Tensor;

  constructor(
    override readonly base: LinearLike,
    mix: BankMix,
    abilities: BankAbilities = {},
  ) {
    super(base, mix, base.outFeatures, abilities);
    this.down = this.held('bank_A', [mix.sizes.slots * mix.sizes.rank, base.inFeatures]);
  }

  get inFeatures(): number {
    return this.base.inFeatures;
  }

  get outFeatures(): number {
    return this.base.outFeatures;
  }

  protected shrink(x: Tensor): Tensor {
    return linear(x, this.down);
  }

  protected writeDown(slot: number, values: Float32Array): void {
    sourceOf(this.down).write(values, 4 * slot * values.length);
  }
}
