import type { LinearLike } from '@lowrank/nn';
import { trainingDropout } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { deferred, linear, mul, persistent, Rng } from '@lowrank/tensor';
import type { LoraWeights, NewLora } from './loraLayer.js';
import { LoraLayer } from './loraLayer.js';

/**
 * A linear layer with low-rank adapters (Hu et al. 2021): y = base(x) + Σ over the active adapters of (s·dropout(x)·Aᵀ)·Bᵀ.
 * The small products come first, forward and backward, and W + ΔW is never formed; the compiler takes the last product into the base's matmul, over any encoding of its
 * weight. The layer inside knows nothing of it, and may hold its weight either way round.
 */
export class LoraLinear extends LoraLayer implements LinearLike {
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

  protected begin(name: string, { rank, init, seed }: NewLora): { a: Tensor; b: Tensor } {
    const rng = new Rng(seed, this.stream);
    const bound = 1 / Math.sqrt(this.inFeatures);
    // PEFT's kaiming_uniform_(a=√5) over [r, in] is U(±1/√in).
    const draw = init === 'kaiming' ? () => (2 * rng.uniform() - 1) * bound : () => rng.normal() / rank;
    return {
      a: deferred(() => Float32Array.from({ length: rank * this.inFeatures }, draw), [rank, this.inFeatures], { name: `lora_A.${name}` }),
      b: persistent([this.outFeatures, rank], { name: `lora_B.${name}` }),
    };
  }

  protected delta(x: Tensor, { a, b, scale, dropout }: LoraWeights): Tensor {
    return linear(mul(linear(trainingDropout(x, dropout, this.stream), a.tensor), scale), b.tensor);
  }
}
