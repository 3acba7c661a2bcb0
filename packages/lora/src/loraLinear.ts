import type { LinearLike, Projection, ProjectionParts } from '@lowrank/nn';
import { isProjection, trainingDropout } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import type { ProductTerm } from '@lowrank/tensor/op';
import { add, full, linear, mul, persistent, reshape, Rng } from '@lowrank/tensor';
import { deferred } from '@lowrank/tensor/op';
import { initOf } from './initOf.js';
import type { NewLora } from './loraLayer.js';
import { LoraLayer } from './loraLayer.js';
import type { LoraWeights } from './variant.js';

/**
 * A linear layer with low-rank adapters (Hu et al. 2021): y = base(x) + Σ over the active adapters of
 * (s·dropout(x)·Aᵀ)·Bᵀ, or of what another variant makes of A and B. The small products come first, forward and
 * backward, and W + ΔW is never formed; the compiler takes the last product into the base's matmul, over any encoding
 * of its weight. The layer inside knows nothing of it, and may hold its weight either way round.
 */
export class LoraLinear extends LoraLayer implements LinearLike, Projection {
  readonly embedding = false;

  constructor(
    override readonly base: LinearLike,
    stream: number,
  ) {
    super(base, stream);
  }

  get inFeatures(): number {
    return this.base.inFeatures;
  }

  get outFeatures(): number {
    return this.base.outFeatures;
  }

  protected begin(name: string, { rank, init, seed, scaling }: NewLora): { a: Tensor; b: Tensor } {
    const { inFeatures, outFeatures } = this;
    const by = initOf(init);
    if (!('draw' in by)) throw new TypeError(`${init} is made of the base's weight`);
    const { a, b } = by.draw({ rank, inFeatures, outFeatures, scaling, rng: new Rng(seed, this.stream) });
    const [shape, options] = [[outFeatures, rank], { name: `lora_B.${name}` }];
    return {
      a: deferred(a, [rank, inFeatures], { name: `lora_A.${name}` }),
      b: b === undefined ? persistent(shape, options) : deferred(b, shape, options),
    };
  }

  dropped(x: Tensor, { dropout }: Pick<LoraWeights, 'dropout'>): Tensor {
    return trainingDropout(x, dropout, this.stream);
  }

  product(x: Tensor, { a, b, scale, bias }: Pick<LoraWeights, 'a' | 'b' | 'scale' | 'bias'>): Tensor {
    const y = linear(mul(linear(x, a.tensor), scale), b.tensor);
    return bias === undefined ? y : add(y, mul(bias.tensor, scale));
  }

  productTerms(x: Tensor, { a, b, scale, bias }: Pick<LoraWeights, 'a' | 'b' | 'scale' | 'bias'>): ProductTerm[] {
    const term = { h: mul(linear(x, a.tensor), scale), b: b.tensor };
    return bias === undefined
      ? [term]
      : [term, { h: mul(full([x.shape[0] ?? 0, 1], 1), scale), b: reshape(bias.tensor, [this.outFeatures, 1]) }];
  }

  /** As an output projection. @throws LowrankError `lora.output` */
  parts(x: Tensor): ProjectionParts {
    if (!isProjection(this.base)) throw new TypeError(`${this.base.constructor.name} is no output projection`);
    const { weight, terms } = this.base.parts(x);
    return { weight, terms: [...terms, ...this.activeTerms(x)] };
  }

  project(a: Tensor): Tensor {
    return this.withoutBias(this.base.forward(a));
  }
}
