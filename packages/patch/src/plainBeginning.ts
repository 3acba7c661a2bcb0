import type { LoraConfig } from '@lowrank/lora';
import { beginsOutside, rankAt, scalingAt, variantOf } from '@lowrank/lora';
import type { Module } from '@lowrank/nn';
import { wrapLayer } from './adaptedLayers.js';
import type { Begin } from './beginning.js';
import type { AdapterOptions } from './placeAdapter.js';
import type { Adaptable } from './targets.js';

/** Begins from random numbers, or from the layer's own W. */
export const beginAlone: Begin = (model, config, options) =>
  Promise.resolve({ config, addTo: (path, layer) => addAlone(model, config, { path, layer, options }) });

/** Gives one layer matrices of its own, as the configuration's init (or another one) says. */
export async function addAlone(
  model: Module,
  config: LoraConfig,
  {
    path,
    layer,
    options: { name = 'default', seed = 0, restored = false },
  }: { readonly path: string; readonly layer: Adaptable; readonly options: AdapterOptions },
): Promise<void> {
  await wrapLayer(model, path, layer).addNew(name, {
    rank: rankAt(config, path),
    scaling: scalingAt(config, path),
    dropout: config.dropout,
    init: config.init,
    seed,
    // Those that begin from outside have none, whoever makes them.
    bias: beginsOutside(config.init) ? false : config.loraBias,
    restored,
    variant: variantOf(config),
  });
}
