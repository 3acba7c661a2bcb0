import { LowrankError } from '@lowrank/errors';
import type { LoraConfig } from '@lowrank/lora';
import { loftqInit, LoraEmbedding, rankAt, scalingAt } from '@lowrank/lora';
import type { LinearLike, TrainedParameter } from '@lowrank/nn';
import { Embedding, Parameter } from '@lowrank/nn';
import type { Module } from '@lowrank/nn';
import { scalar, tensor } from '@lowrank/tensor';
import type { AdapterOptions } from './adapters.js';
import { checkFree, setActiveAdapters, trainOnly, wholly, wrap } from './adapters.js';
import { checkOutput } from './outputTargets.js';
import { addCopies, checkUncopied } from './savedModules.js';
import type { Adaptable } from './targets.js';
import { matchTargets } from './targets.js';
import { addRows } from './trainedRows.js';

/** A quantized layer, for LoftQ. */
export interface LoftqBase {
  /** Its weight [out, in] before it was quantized, row by row. */
  readonly weight: Float32Array;
  /** What quantizing and dequantizing make of such a matrix. */
  readonly roundTrip: (weight: Float32Array) => Float32Array;
  /**
   * Makes the layer what the last round trip gave; called where there was more than one, and so another than the layer
   * has.
   */
  readonly keep: () => void;
}

export interface LoftqAdapterOptions extends AdapterOptions {
  /**
   * Default 1, as in PEFT: the base stays as it is, so the adapter goes with any copy of it. With more the base changes
   * too.
   */
  readonly iterations?: number | undefined;
  /** How a layer is quantized; asked for layer by layer, so that one weight at a time lies in memory. */
  readonly base: (path: string, layer: LinearLike) => Promise<LoftqBase>;
}

/**
 * Like injectAdapter, but A and B begin as the best approximation of what quantization lost: LoftQ (Li et al. 2023),
 * for models whose linear layers are quantized.
 *
 * @returns the adapter's matrices, to be trained
 * @throws LowrankError `patch.notLinear` for embeddings, `lora.loftq`, and the codes of injectAdapter
 */
export async function injectLoftq(
  model: Module,
  config: LoraConfig,
  options: LoftqAdapterOptions,
): Promise<TrainedParameter[]> {
  const { name = 'default' } = options;
  const targets = matchTargets(model, config);
  checkFree(model, name, config);
  checkOutput(model, targets, config);
  checkUncopied(model, targets.keys());
  return wholly(model, name, async () => {
    for (const [path, layer] of targets) await addLayer(model, config, { path, layer, options });
    await addCopies(model, config, name);
    await addRows(model, config, name);
    setActiveAdapters(model, [name]);
    return trainOnly(model, name, config);
  });
}

async function addLayer(
  model: Module,
  config: LoraConfig,
  {
    path,
    layer,
    options: { name = 'default', seed = 0, iterations = 1, base },
  }: { path: string; layer: Adaptable; options: LoftqAdapterOptions },
): Promise<void> {
  if (layer instanceof Embedding || layer instanceof LoraEmbedding)
    throw new LowrankError({
      code: 'patch.notLinear',
      what: `LoftQ at ${path}`,
      expected: 'a quantized linear layer',
      got: 'an embedding',
      remedy: 'Leave it out of the target modules.',
    });
  const { inFeatures: columns, outFeatures: rows } = layer;
  const { weight, roundTrip, keep } = await base(path, layer);
  const [rank, scaling] = [rankAt(config, path), scalingAt(config, path)];
  const { a, b } = loftqInit(weight, { rows, columns, rank, scaling, iterations, seed, roundTrip });
  if (iterations > 1) keep();
  wrap(model, path, layer).add(name, {
    a: new Parameter(tensor(a, [rank, columns], { name: `${path}.lora_A` })),
    b: new Parameter(tensor(b, [rows, rank], { name: `${path}.lora_B` })),
    scale: scalar(scaling, { name: `scale.${name}` }),
    dropout: config.dropout,
  });
}
