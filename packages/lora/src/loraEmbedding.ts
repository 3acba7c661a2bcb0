import type { Embedding } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { embedding, linear, matmul, mul, persistent, Rng, transpose } from '@lowrank/tensor';
import { deferred } from '@lowrank/tensor/op';
import type { NewLora } from './loraLayer.js';
import { LoraLayer } from './loraLayer.js';
import type { LoraWeights } from './variant.js';

/**
 * An embedding with low-rank adapters, as PEFT has them: e(i) = W[i] + Σ over the active adapters of s·Aᵀ[i]·Bᵀ, with A
 * [r, vocabulary] and B [width, r]. W + ΔW is never formed, and an output projection that is tied to W stays what it
 * was. There is no dropout, since ids have none.
 */
export class LoraEmbedding extends LoraLayer {
  readonly embedding = true;

  constructor(
    override readonly base: Embedding,
    stream: number,
  ) {
    super(base, stream);
  }

  /** The vocabulary's size. */
  get inFeatures(): number {
    return this.base.weight.tensor.shape[0] ?? 0;
  }

  get outFeatures(): number {
    return this.base.weight.tensor.shape[1] ?? 0;
  }

  /** A is zero and B standard normal, whatever the configuration's `init` (PEFT's `reset_lora_parameters`). */
  protected begin(name: string, { rank, seed }: NewLora): { a: Tensor; b: Tensor } {
    const rng = new Rng(seed, this.stream);
    return {
      a: persistent([rank, this.inFeatures], { name: `lora_embedding_A.${name}` }),
      b: deferred(
        () => Float32Array.from({ length: this.outFeatures * rank }, () => rng.normal()),
        [this.outFeatures, rank],
        { name: `lora_embedding_B.${name}` },
      ),
    };
  }

  dropped(ids: Tensor): Tensor {
    return ids;
  }

  product(ids: Tensor, { a, b, scale }: Pick<LoraWeights, 'a' | 'b' | 'scale'>): Tensor {
    return linear(mul(embedding(transpose(a.tensor), ids), scale), b.tensor);
  }

  productTerms(): never {
    throw new TypeError('an embedding is no projection');
  }

  project(a: Tensor): Tensor {
    return matmul(a, this.base.weight.tensor);
  }
}
