import { LowrankError } from '@lowrank/errors';
import type { Layer, LinearLike } from '@lowrank/nn';
import { Module, Parameter, trainingDropout } from '@lowrank/nn';
import type { Scalar, Tensor } from '@lowrank/tensor';
import { add, deferred, linear, mul, persistent, Rng, scalar, scope } from '@lowrank/tensor';
import type { LoraInit } from './config.js';

/** One adapter of a layer: ΔW = scale·B·A. */
export interface LoraWeights {
  /** [r, in] */
  readonly a: Parameter;
  /** [out, r] */
  readonly b: Parameter;
  /** alpha/r (or alpha/√r): data of the plan, so that a swap of adapters needs no new plan. */
  readonly scale: Scalar;
  readonly dropout: number;
}

export interface NewLora {
  readonly rank: number;
  readonly scaling: number;
  readonly dropout: number;
  readonly init: LoraInit;
  readonly seed: number;
}

/**
 * A linear layer with low-rank adapters (Hu et al. 2021): y = base(x) + Σ over the active adapters of (s·dropout(x)·Aᵀ)·Bᵀ.
 * The small products come first, forward and backward, and W + ΔW is never formed; the compiler takes the last product into the base's matmul, over any encoding of its
 * weight. The layer inside knows nothing of it.
 */
export class LoraLinear extends Module implements LinearLike {
  readonly adapters = new Map<string, LoraWeights>();
  /** Adapters that are added, in this order. */
  active: readonly string[] = [];
  /** Off: the base alone. */
  enabled = true;

  constructor(
    readonly base: LinearLike,
    /** Tells this layer's dropout from others'. */
    private readonly stream: number,
  ) {
    super();
    this.child('base_layer', base);
  }

  get inFeatures(): number {
    return this.base.inFeatures;
  }

  get outFeatures(): number {
    return this.base.outFeatures;
  }

  /** A new adapter: B is zero, so that the layer computes what it did before. */
  addNew(name: string, { rank, scaling, dropout, init, seed }: NewLora): void {
    const rng = new Rng(seed, this.stream);
    const bound = 1 / Math.sqrt(this.inFeatures);
    // PEFT's kaiming_uniform_(a=√5) over [r, in] is U(±1/√in).
    const draw = init === 'kaiming' ? () => (2 * rng.uniform() - 1) * bound : () => rng.normal() / rank;
    const a = deferred(() => Float32Array.from({ length: rank * this.inFeatures }, draw), [rank, this.inFeatures], { name: `lora_A.${name}` });
    const b = persistent([this.outFeatures, rank], { name: `lora_B.${name}` });
    this.add(name, { a: new Parameter(a), b: new Parameter(b), scale: scalar(scaling, { name: `scale.${name}` }), dropout });
  }

  add(name: string, weights: LoraWeights): void {
    const [rank] = weights.a.tensor.shape;
    const fits = weights.a.tensor.shape.join() === `${rank},${this.inFeatures}` && weights.b.tensor.shape.join() === `${this.outFeatures},${rank}`;
    if (!fits || this.adapters.has(name)) {
      throw new LowrankError({
        code: 'lora.shape',
        what: `adapter ${name}`,
        expected: this.adapters.has(name) ? 'a name that is not taken' : `A [r, ${this.inFeatures}] and B [${this.outFeatures}, r]`,
        got: `A [${weights.a.tensor.shape.join(', ')}] and B [${weights.b.tensor.shape.join(', ')}]`,
      });
    }
    this.adapters.set(name, weights);
    this.parameter(`lora_A.${name}.weight`, weights.a);
    this.parameter(`lora_B.${name}.weight`, weights.b);
  }

  /** Takes an adapter out and frees its matrices. */
  remove(name: string): void {
    const weights = this.adapters.get(name);
    if (weights === undefined) return;
    this.adapters.delete(name);
    this.active = this.active.filter((other) => other !== name);
    for (const half of ['lora_A', 'lora_B']) this.dropParameter(`${half}.${name}.weight`);
    for (const { tensor: values } of [weights.a, weights.b]) values.dispose();
  }

  forward(x: Tensor): Tensor {
    let y = (this.base as Layer).forward(x);
    if (!this.enabled) return y;
    for (const name of this.active) {
      const weights = this.adapters.get(name);
      if (weights === undefined) continue;
      const { a, b, scale, dropout } = weights;
      y = scope(`lora.${name}`, () => add(y, linear(mul(linear(trainingDropout(x, dropout, this.stream), a.tensor), scale), b.tensor)));
    }
    return y;
  }
}
