import { LowrankError } from '@lowrank/errors';
import type { Layer } from '@lowrank/nn';
import { Module, Parameter } from '@lowrank/nn';
import type { Scalar, Tensor } from '@lowrank/tensor';
import { add, scalar, scope } from '@lowrank/tensor';
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

/** A layer with low-rank adapters around it, under PEFT's names. What its A and B do, and how they begin, a subclass says. */
export abstract class LoraLayer extends Module implements Layer {
  readonly adapters = new Map<string, LoraWeights>();
  /** Adapters that are added, in this order. */
  active: readonly string[] = [];
  /** Off: the base alone. */
  enabled = true;

  /**
   * @param base the layer inside, which knows nothing of it
   * @param stream tells this layer's random numbers from others'
   */
  constructor(
    readonly base: Layer,
    protected readonly stream: number,
  ) {
    super();
    this.child('base_layer', base);
  }

  abstract get inFeatures(): number;
  abstract get outFeatures(): number;
  /** Whether its A and B go by PEFT's names for embeddings. */
  abstract readonly embedding: boolean;
  /** A and B as they begin: ΔW is zero, so that the layer computes what it did before. */
  protected abstract begin(name: string, options: NewLora): { a: Tensor; b: Tensor };
  /** What one adapter adds to base(x). */
  protected abstract delta(x: Tensor, weights: LoraWeights): Tensor;

  addNew(name: string, options: NewLora): void {
    const { a, b } = this.begin(name, options);
    this.add(name, { a: new Parameter(a), b: new Parameter(b), scale: scalar(options.scaling, { name: `scale.${name}` }), dropout: options.dropout });
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
    const [a, b] = this.names(name);
    this.parameter(a, weights.a);
    this.parameter(b, weights.b);
  }

  /** Takes an adapter out and frees its matrices. */
  remove(name: string): void {
    const weights = this.adapters.get(name);
    if (weights === undefined) return;
    this.adapters.delete(name);
    this.active = this.active.filter((other) => other !== name);
    for (const parameter of this.names(name)) this.dropParameter(parameter);
    for (const { tensor: values } of [weights.a, weights.b]) values.dispose();
  }

  forward(x: Tensor): Tensor {
    let y = this.base.forward(x);
    if (!this.enabled) return y;
    for (const name of this.active) {
      const weights = this.adapters.get(name);
      if (weights !== undefined) y = scope(`lora.${name}`, () => add(y, this.delta(x, weights)));
    }
    return y;
  }

  private names(name: string): readonly [a: string, b: string] {
    return this.embedding ? [`lora_embedding_A.${name}`, `lora_embedding_B.${name}`] : [`lora_A.${name}.weight`, `lora_B.${name}.weight`];
  }
}
