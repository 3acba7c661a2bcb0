import type { Layer, Parameter } from '@lowrank/nn';
import type { Scalar, Tensor } from '@lowrank/tensor';
import type { ProductTerm } from '@lowrank/tensor/op';

/** One adapter of a layer: ΔW = scale·B·A. */
export interface LoraWeights {
  /** [r, in] */
  readonly a: Parameter;
  /** [out, r] */
  readonly b: Parameter;
  /** alpha/r (or alpha/√r): data of the plan, so that a swap of adapters needs no new plan. */
  readonly scale: Scalar;
  readonly dropout: number;
  /** [out], added to what B gives (PEFT's `lora_bias`). */
  readonly bias?: Parameter | undefined;
  /** What is done with A and B; plain LoRA unless given. */
  readonly variant?: LoraVariant | undefined;
  /** `[out]`: the vector that the variant trains along with A and B. */
  readonly vector?: Parameter | undefined;
  /** What the variant needs to know of the base. */
  readonly constant?: Tensor | undefined;
  /** What A and B began as, where they began as a part of W. */
  readonly initial?: { readonly a: Parameter; readonly b: Parameter } | undefined;
}

/** What a variant may ask of the layer that an adapter is around. */
export interface VariantLayer {
  readonly base: Layer;
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** The input of A, with dropout while training. */
  dropped(x: Tensor, weights: Pick<LoraWeights, 'dropout'>): Tensor;
  /** scale·(B·A·x + bias) */
  product(x: Tensor, weights: Pick<LoraWeights, 'a' | 'b' | 'scale' | 'bias'>): Tensor;
  /** Its parts: scale·x·Aᵀ with B, and ones with scale·bias. */
  productTerms(x: Tensor, weights: Pick<LoraWeights, 'a' | 'b' | 'scale' | 'bias'>): ProductTerm[];
  /** A·Wᵀ [r, out] */
  project(a: Tensor): Tensor;
  /** y without the base's bias, if it has one. */
  withoutBias(y: Tensor): Tensor;
}

/** One adapter of one layer in a forward pass. */
export interface VariantCall {
  readonly layer: VariantLayer;
  readonly weights: LoraWeights;
  readonly x: Tensor;
  /** base(x) */
  readonly base: Tensor;
}

/**
 * What a kind of adapter does with A and B: an object in a file of its own. PEFT's are under variants/; one of your own
 * is given in the configuration (`variant`). Everything else (targets, files, training, hot swap, merging) goes by
 * these members and knows no variant.
 */
export interface LoraVariant {
  /** Of PEFT's variants: whether a configuration asks for it by its settings. */
  asked?(settings: Readonly<Record<string, unknown>>): boolean;
  /** PEFT's name of a vector [out] that is trained and saved along with A and B. */
  readonly vector?: string;
  /** What the adapter adds to base(x). */
  forward(call: VariantCall): Tensor;
  /**
   * The same as products h·Bᵀ, for an output projection whose logits are made chunk by chunk; a variant without it
   * cannot be one.
   */
  terms?(call: Omit<VariantCall, 'base'>): ProductTerm[];
  /**
   * Completes new or loaded weights with what depends on the base: constants, and the vector where there is none yet.
   * Variants without it need not look at the base.
   */
  prepare?(layer: VariantLayer, weights: LoraWeights): Promise<LoraWeights>;
  /** For variants of the form base(x) + (f − 1)·Wx + f·s·BAx: f [out]. Others cannot be held by a bank of adapters. */
  factor?(layer: VariantLayer, weights: LoraWeights): Tensor;
  /**
   * Merging: turns `row`, a row of W (as [out, in]), into that of the merged weight; `delta` is the row of s·B·A,
   * `vector` its element of the vector. Rounds to f32 after each operation. Returns the number that `unmergeRow`
   * needs, or 1 where it needs none.
   */
  mergeRow(row: Float32Array, delta: Float32Array, vector: number): number;
  /**
   * Unmerging: turns a row of the merged weight back into one of W. Adapters of variants without it can be merged for
   * good alone.
   */
  unmergeRow?(row: Float32Array, delta: Float32Array, known: { readonly vector: number; readonly kept: number }): void;
  /**
   * For variants with a constant: the one with which an adapter of this vector and a factor of 0 adds nothing, so that
   * functions traced before a merge go on with the merged weight.
   */
  resting?(vector: Float32Array): Float32Array;
}

/** A variant that you define: its files hold its name, and only readers that are given the variant can read them. */
export interface NamedVariant extends LoraVariant {
  readonly name: string;
}
