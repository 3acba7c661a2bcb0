import { LowrankError } from '@lowrank/errors';
import type { LoraWeights } from '@lowrank/lora';
import { LoraEmbedding, LoraLayer, LoraLinear } from '@lowrank/lora';
import type { Module } from '@lowrank/nn';
import { Embedding } from '@lowrank/nn';
import { copiesOf, namesOfCopies } from './savedModules.js';
import type { Adaptable } from './targets.js';
import { tokenLayers } from './tokenRows.js';

/** A layer with one of its adapters. */
export type AdaptedLayer = readonly [path: string, layer: LoraLayer, weights: LoraWeights];

/** Every adapted layer of a model by the path of the layer it replaces. */
export function adaptedLayers(model: Module): Map<string, LoraLayer> {
  const layers = new Map<string, LoraLayer>();
  for (const [path, module] of model.namedModules()) if (module instanceof LoraLayer) layers.set(path, module);
  return layers;
}

/** The layers that have an adapter of this name; none for an adapter of copies or token rows alone. */
export function layersWith(model: Module, name: string): AdaptedLayer[] {
  return [...adaptedLayers(model)].flatMap(([path, layer]): AdaptedLayer[] => {
    const weights = layer.adapters.get(name);
    return weights === undefined ? [] : [[path, layer, weights]];
  });
}

/** The adapters of a model: those that have matrices, copies of modules or token rows. */
export function adapterNames(model: Module): string[] {
  const layers = [...adaptedLayers(model).values(), ...tokenLayers(model).map(([, layer]) => layer)];
  return [...new Set([...layers.flatMap(({ adapters }) => [...adapters.keys()]), ...namesOfCopies(model)])];
}

export function hasAdapter(model: Module, name: string): boolean {
  return (
    layersWith(model, name).length > 0 ||
    copiesOf(model, name).length > 0 ||
    tokenLayers(model).some(([, { adapters }]) => adapters.has(name))
  );
}

/** @throws LowrankError `patch.noAdapter` */
export function requireAdapter(model: Module, name: string): void {
  if (hasAdapter(model, name)) return;
  const known = adapterNames(model);
  throw new LowrankError({
    code: 'patch.noAdapter',
    what: `the adapter ${name}`,
    expected: known.length === 0 ? 'an adapter to be loaded' : `one of ${known.join(', ')}`,
    got: 'an unknown name',
  });
}

/** The layer with room for adapters around a target; puts one there if the target has none yet. */
export function wrapLayer(model: Module, path: string, layer: Adaptable): LoraLayer {
  if (layer instanceof LoraLayer) return layer;
  const wrapped =
    layer instanceof Embedding ? new LoraEmbedding(layer, streamOf(path)) : new LoraLinear(layer, streamOf(path));
  model.setModule(path, wrapped);
  return wrapped;
}

/** Hashes a path (FNV-1a), so that a layer's random numbers are the same whichever other layers are adapted. */
export function streamOf(path: string): number {
  let hash = 0x811c9dc5;
  for (const char of path) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193);
  return hash >>> 0;
}
