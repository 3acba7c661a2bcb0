import { LowrankError } from '@lowrank/errors';
import type { LoraConfig } from '@lowrank/lora';
import { loftqInit, LoraEmbedding, rankAt, scalingAt } from '@lowrank/lora';
import type { Module } from '@lowrank/nn';
import { Embedding, Parameter } from '@lowrank/nn';
import { scalar, tensor } from '@lowrank/tensor';
import { wrapLayer } from './adaptedLayers.js';
import type { Begin, BeginningOptions } from './beginning.js';
import { missing } from './beginning.js';
import type { Adaptable } from './targets.js';

/**
 * A and B begin as the best approximation of what quantization lost: LoftQ (Li et al. 2023), for models whose linear
 * layers are quantized.
 *
 * @throws LowrankError `patch.notLinear` for embeddings, `lora.loftq`
 */
export const beginLoftq: Begin = (model, config, options) =>
  Promise.resolve({ config, addTo: (path, layer) => addLayer(model, config, { path, layer, options }) });

async function addLayer(
  model: Module,
  config: LoraConfig,
  { path, layer, options }: { path: string; layer: Adaptable; options: BeginningOptions },
): Promise<void> {
  const { name = 'default', seed = 0, loftq } = options;
  if (loftq === undefined) throw missing('loftq', 'the weights before they were quantized (options.loftq)');
  const { iterations = 1 } = loftq;
  if (layer instanceof Embedding || layer instanceof LoraEmbedding)
    throw new LowrankError({
      code: 'patch.notLinear',
      what: `LoftQ at ${path}`,
      expected: 'a quantized linear layer',
      got: 'an embedding',
      remedy: 'Leave it out of the target modules.',
    });
  const { inFeatures: columns, outFeatures: rows } = layer;
  const { weight, roundTrip, keep } = await loftq.base(path, layer);
  const [rank, scaling] = [rankAt(config, path), scalingAt(config, path)];
  const { a, b } = loftqInit(weight, { rows, columns, rank, scaling, iterations, seed, roundTrip });
  if (iterations > 1) keep();
  wrapLayer(model, path, layer).add(name, {
    a: new Parameter(tensor(a, [rank, columns], { name: `${path}.lora_A` })),
    b: new Parameter(tensor(b, [rows, rank], { name: `${path}.lora_B` })),
    scale: scalar(scaling, { name: `scale.${name}` }),
    dropout: config.dropout,
  });
}
