import type { TensorEntry } from '@lowrank/safetensors';
import type { LoraConfig } from './config.js';
import type { TrainedRows } from './trainedTokens.js';

/** The A and B of one layer, on the host. Of an embedding, `inFeatures` is the vocabulary's size. */
export interface LoraMatrices {
  /** [r, in] */
  readonly a: Float32Array;
  /** [out, r] */
  readonly b: Float32Array;
  readonly rank: number;
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** They belong to an embedding, and have PEFT's names for that. */
  readonly embedding?: boolean | undefined;
  /** [out], of B: with `loraBias`. */
  readonly bias?: Float32Array | undefined;
  /** `[out]`: what the configuration's variant trains besides A and B, such as DoRA's magnitudes. */
  readonly vector?: Float32Array | undefined;
}

/** An adapter as PEFT keeps it: its configuration, and matrices by the path of the layer they adapt. */
export interface LoraAdapter {
  readonly config: LoraConfig;
  readonly layers: ReadonlyMap<string, LoraMatrices>;
  /**
   * Tensors saved whole, by name: those of the modules in `modulesToSave`, an adapted embedding's or output
   * projection's own table (`<path>.base_layer.weight`), which PEFT saves along, biases of the base that were trained
   * (`<path>.bias`, of adapted layers `<path>.base_layer.bias`), and a classifier's head, for which a language model
   * has no place.
   */
  readonly whole?: ReadonlyMap<string, WholeTensor> | undefined;
  /**
   * Trained token rows by the path of the embedding or output projection; which tokens they are the configuration says.
   */
  readonly tokens?: ReadonlyMap<string, TrainedRows> | undefined;
  /** What of its configuration was left aside, as sentences for people. */
  readonly warnings?: readonly string[] | undefined;
}

/** A tensor as a file holds it. */
export interface WholeTensor {
  readonly dtype: TensorEntry['dtype'];
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** The files of an adapter that hold numbers, by name. */
export type LoraAdapterFiles = Readonly<Record<'adapter_config.json' | 'adapter_model.safetensors', Uint8Array>>;

/** How the numbers of an adapter's file are stored. */
export type StoredDtype = 'F32' | 'F16' | 'BF16';
