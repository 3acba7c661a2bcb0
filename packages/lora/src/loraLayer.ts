import { LowrankError } from '@lowrank/errors';
import type { Layer } from '@lowrank/nn';
import { Module, Parameter } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import type { ProductTerm } from '@lowrank/tensor/op';
import { add, persistent, readTensor, Rng, scalar, tensor, toFloat32 } from '@lowrank/tensor';
import { scope } from '@lowrank/tensor/op';
import { baseWeight } from './numeric/baseWeight.js';
import type { LoraInit } from './loraInit.js';
import { beginsOutside } from './loraInit.js';
import { initOf, takesFromBase } from './initOf.js';
import type { LoraVariant, LoraWeights, VariantLayer } from './variant.js';
import { plain } from './variants/plain.js';
import { withoutBias } from './withoutBias.js';

/** A new adapter of one layer: A is drawn by `init` from `seed`, B is 0. */
export interface NewLora {
  readonly rank: number;
  readonly scaling: number;
  readonly dropout: number;
  readonly init: LoraInit;
  readonly seed: number;
  /** Default: plain LoRA. */
  readonly variant?: LoraVariant | undefined;
  /** Give B a bias. */
  readonly bias?: boolean | undefined;
  /** What begins from W or from outside is made without its values: a saved state is about to give them. */
  readonly restored?: boolean | undefined;
}

type Beginning = Pick<NewLora, 'init' | 'rank' | 'scaling' | 'seed'>;

/** What is needed to take a merged adapter out of a weight again, and to go on as before. */
export interface MergedAdapter {
  readonly name: string;
  /** Its factor on BA, which is 0 while it is merged: functions compiled before go on with the same results. */
  readonly scaling: number;
  /** What the variant's `mergeRow` returned for each row [out]. */
  readonly kept: Float32Array;
  /** What the variant knows of the unmerged base. */
  readonly constant?: Float32Array | undefined;
}

/**
 * A layer with low-rank adapters around it, under PEFT's names. What its A and B do, and how they begin, a subclass
 * says.
 */
export abstract class LoraLayer extends Module implements Layer, VariantLayer {
  readonly adapters = new Map<string, LoraWeights>();
  /** Adapters that are added, in this order. */
  active: readonly string[] = [];
  /**
   * Adapters that are in the base's weight at the moment, in the order in which they were merged: the base alone
   * computes what they add.
   */
  merged: readonly MergedAdapter[] = [];

  /**
   * @param base the layer inside, which knows nothing of its adapters
   * @param stream sets this layer's random numbers apart from other layers'
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
  /** Whether its A and B have PEFT's names for embeddings. */
  abstract readonly embedding: boolean;
  /** A and B as they begin where W has no part in it: ΔW is zero, so that the layer computes what it did before. */
  protected abstract begin(name: string, options: NewLora): { a: Tensor; b: Tensor };
  abstract dropped(x: Tensor, weights: Pick<LoraWeights, 'dropout'>): Tensor;
  abstract product(x: Tensor, weights: Pick<LoraWeights, 'a' | 'b' | 'scale' | 'bias'>): Tensor;
  abstract productTerms(x: Tensor, weights: Pick<LoraWeights, 'a' | 'b' | 'scale' | 'bias'>): ProductTerm[];
  abstract project(a: Tensor): Tensor;

  /**
   * Adds an adapter with new matrices. What depends on W (DoRA's magnitudes, A and B as a part of W) is made from it.
   *
   * @throws LowrankError `lora.config`, `lora.svd`, `lora.baseWeight`
   */
  async addNew(name: string, options: NewLora): Promise<void> {
    const { variant = plain } = options;
    if (options.restored === true) return this.addRestored(name, options);
    const made = await this.fromBase(options);
    const initial = takesFromBase(options.init) ? made : undefined;
    const matrices =
      made === undefined
        ? this.begin(name, options)
        : { a: await copied(made.a, `lora_A.${name}`), b: await copied(made.b, `lora_B.${name}`) };
    const weights: LoraWeights = { ...this.weights(name, matrices, options), initial };
    this.add(name, (await variant.prepare?.(this, weights)) ?? weights);
  }

  private async addRestored(name: string, options: NewLora): Promise<void> {
    const { variant = plain, init, rank } = options;
    const zeros = (shape: readonly number[], own: string): Parameter =>
      new Parameter(persistent(shape, { name: own }), false);
    const initial =
      takesFromBase(init) && !this.embedding
        ? { a: zeros([rank, this.inFeatures], 'initial_A'), b: zeros([this.outFeatures, rank], 'initial_B') }
        : undefined;
    const matrices = this.begin(name, { ...options, init: 'kaiming' });
    const weights: LoraWeights = { ...this.weights(name, matrices, options), initial };
    this.add(name, (await variant.prepare?.(this, weights)) ?? weights);
  }

  /**
   * The initial A and B where they are a part of W, so that W must lose their product. Undefined for other inits, and
   * for embeddings.
   */
  async partOfBase(options: Beginning): Promise<LoraWeights['initial']> {
    return takesFromBase(options.init) ? this.fromBase(options) : undefined;
  }

  /** A and B as W makes them; undefined for inits that do not look at it, and for embeddings. */
  private async fromBase({ init, rank, scaling, seed }: Beginning): Promise<LoraWeights['initial']> {
    const by = beginsOutside(init) ? undefined : initOf(init);
    if (by === undefined || !('from' in by)) return undefined;
    const { inFeatures, outFeatures } = this;
    if (this.embedding && by.keepsBase !== true) return undefined;
    if (this.embedding)
      throw new LowrankError({
        code: 'lora.config',
        what: (names) => names('init', init),
        expected: 'only linear layers',
        got: 'an embedding',
        remedy: 'Leave it out of the target modules.',
      });
    if (rank > Math.min(inFeatures, outFeatures))
      throw new LowrankError({
        code: 'lora.config',
        what: (names) => names('init', init),
        expected: `a rank up to ${Math.min(inFeatures, outFeatures)}, the smaller side of W`,
        got: String(rank),
      });
    if (!(scaling > 0))
      throw new LowrankError({
        code: 'lora.config',
        what: (names) => names('init', init),
        expected: 'an alpha above 0',
        got: String(scaling * rank),
      });
    const { a, b } = await by.from(await baseWeight(this), {
      rank,
      scaling,
      inFeatures,
      outFeatures,
      rng: new Rng(seed, this.stream),
    });
    return {
      a: new Parameter(tensor(a, [rank, inFeatures], { name: 'initial_A' }), false),
      b: new Parameter(tensor(b, [outFeatures, rank], { name: 'initial_B' }), false),
    };
  }

  add(name: string, weights: LoraWeights): void {
    const [rank] = weights.a.tensor.shape;
    const fits =
      weights.a.tensor.shape.join() === `${rank},${this.inFeatures}` &&
      weights.b.tensor.shape.join() === `${this.outFeatures},${rank}`;
    if (!fits || this.adapters.has(name)) {
      throw new LowrankError({
        code: 'lora.shape',
        what: `adapter ${name}`,
        expected: this.adapters.has(name)
          ? 'a name that is not taken'
          : `A [r, ${this.inFeatures}] and B [${this.outFeatures}, r]`,
        got: `A [${weights.a.tensor.shape.join(', ')}] and B [${weights.b.tensor.shape.join(', ')}]`,
      });
    }
    this.adapters.set(name, weights);
    for (const [key, parameter] of this.owned(name, weights)) this.parameter(key, parameter);
  }

  /** Takes an adapter out and frees its matrices. */
  remove(name: string): void {
    const weights = this.adapters.get(name);
    if (weights === undefined) return;
    this.adapters.delete(name);
    this.active = this.active.filter((other) => other !== name);
    for (const [key, parameter] of this.owned(name, weights)) {
      this.dropParameter(key);
      parameter.tensor.dispose();
    }
    weights.constant?.dispose();
  }

  withoutBias(y: Tensor): Tensor {
    return withoutBias(this.base, y);
  }

  forward(x: Tensor): Tensor {
    const base = this.base.forward(x);
    if (this.merged.length > 0) return base;
    let y = base;
    for (const name of this.active) {
      const weights = this.adapters.get(name);
      if (weights !== undefined)
        y = scope(`lora.${name}`, () => add(y, (weights.variant ?? plain).forward({ layer: this, weights, x, base })));
    }
    return y;
  }

  /**
   * What the active adapters add to a projection of x [N, in], as products. @throws LowrankError `lora.output` for a
   * variant that adds something else
   */
  protected activeTerms(x: Tensor): ProductTerm[] {
    if (this.merged.length > 0) return [];
    return this.active.flatMap((name) => {
      const weights = this.adapters.get(name);
      if (weights === undefined) return [];
      const { variant = plain } = weights;
      if (variant.terms === undefined) throw outputVariant(name);
      return scope(`lora.${name}`, () => variant.terms?.({ layer: this, weights, x }) ?? []);
    });
  }

  private weights(
    name: string,
    { a, b }: { a: Tensor; b: Tensor },
    { scaling, dropout, variant, bias = false }: NewLora,
  ): LoraWeights {
    return {
      a: new Parameter(a),
      b: new Parameter(b),
      scale: scalar(scaling, { name: `scale.${name}` }),
      dropout,
      variant,
      bias: bias ? new Parameter(persistent([this.outFeatures], { name: `lora_B.bias.${name}` })) : undefined,
    };
  }

  /** An adapter's parameters, under PEFT's names. */
  private owned(
    name: string,
    { a, b, bias, vector, variant, initial }: LoraWeights,
  ): [key: string, parameter: Parameter][] {
    const owned: [string, Parameter | undefined][] = this.embedding
      ? [
          [`lora_embedding_A.${name}`, a],
          [`lora_embedding_B.${name}`, b],
        ]
      : [
          [`lora_A.${name}.weight`, a],
          [`lora_B.${name}.weight`, b],
          [`lora_B.${name}.bias`, bias],
          [`initial_A.${name}`, initial?.a],
          [`initial_B.${name}`, initial?.b],
        ];
    if (variant?.vector !== undefined) owned.push([`${variant.vector}.${name}.weight`, vector]);
    return owned.flatMap(([key, parameter]): [string, Parameter][] =>
      parameter === undefined ? [] : [[key, parameter]],
    );
  }
}

/** Why an output projection takes no DoRA. */
export function outputVariant(name: string): LowrankError {
  return new LowrankError({
    code: 'lora.output',
    what: `the adapter ${name} of the output projection`,
    expected: 'plain LoRA or rsLoRA: logits are made chunk by chunk within the loss',
    got: 'a variant that adds something other than products (DoRA)',
    remedy: 'Leave the output projection out of the target modules, or use_dora off.',
  });
}

async function copied({ tensor: values }: Parameter, name: string): Promise<Tensor> {
  return tensor(toFloat32(await readTensor(values), values.dtype), values.shape, { name });
}
