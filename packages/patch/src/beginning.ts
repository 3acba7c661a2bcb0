import { LowrankError } from '@lowrank/errors';
import type { LoraConfig } from '@lowrank/lora';
import type { LinearLike, Module } from '@lowrank/nn';
import type { MeasureOptions } from './inputMoments.js';
import type { AdapterOptions } from './placeAdapter.js';
import type { Adaptable } from './targets.js';

/** A quantized layer, for LoftQ. */
export interface LoftqBase {
  /** Its weight [out, in] before it was quantized, row by row. */
  readonly weight: Float32Array;
  /** Quantizes and dequantizes such a matrix. */
  readonly roundTrip: (weight: Float32Array) => Float32Array;
  /**
   * Makes the layer what the last round trip gave; called after more than one, when that is something else than the
   * layer has.
   */
  readonly keep: () => void;
}

/** How LoftQ gets at the weights that it makes up for. */
export interface LoftqSource {
  /** How a layer is quantized; asked for layer by layer, so that one weight at a time lies in memory. */
  readonly base: (path: string, layer: LinearLike) => Promise<LoftqBase>;
  /**
   * Default 1, as in PEFT: the base stays as it is, so the adapter goes with any copy of it. More change the base too.
   */
  readonly iterations?: number | undefined;
}

export interface BeginningOptions extends AdapterOptions {
  /** For the init 'eva': the data, and a forward pass over them. */
  readonly data?: MeasureOptions | undefined;
  /** For the init 'loftq': the weights before they were quantized. */
  readonly loftq?: LoftqSource | undefined;
}

/** How a new adapter begins, known before anything in the model changes. */
export interface Beginning {
  /** The configuration given, or with the ranks that were found. */
  readonly config: LoraConfig;
  /** Gives one target its matrices. */
  readonly addTo: (path: string, layer: Adaptable) => Promise<void>;
}

export type Begin = (
  model: Module,
  config: LoraConfig,
  options: BeginningOptions & { readonly targets: ReadonlyMap<string, Adaptable> },
) => Promise<Beginning>;

export function missing(init: LoraConfig['init'], expected: string): LowrankError {
  return new LowrankError({
    code: 'patch.beginning',
    what: `a new adapter with the init ${init}`,
    expected,
    got: 'none',
    remedy: 'Pass it to addAdapter in its options, or use another init.',
  });
}
