import { LowrankError } from '@lowrank/errors';
import type { LoraLayer, LoraWeights, MergeDtype } from '@lowrank/lora';
import type { Module, Parameter } from '@lowrank/nn';
import { Conv1d, Embedding, Linear } from '@lowrank/nn';
import { sourceOf } from '@lowrank/tensor/op';
import { fileDtypeOf } from './fileDtypes.js';
import { requireStored } from './mergeGuards.js';
import { placesOf } from './places.js';
import { copiesOf } from './savedModules.js';
import { tokenLayers } from './tokenRows.js';

/** A layer whose weight takes adapters in. */
export interface MergePlace {
  readonly path: string;
  readonly layer: LoraLayer;
  readonly weight: Parameter;
  readonly dtype: MergeDtype;
  /** To be merged, in order. */
  readonly adapters: readonly (readonly [name: string, weights: LoraWeights])[];
}

/**
 * The place of one layer for the adapters of these names that it has; none where it has none of them.
 *
 * @throws LowrankError `patch.mergeEncoding`, `patch.mergeDerived`, `patch.mergeVariant`, `patch.mergeDora`,
 * `patch.mergeBias`
 */
export function mergePlace(path: string, layer: LoraLayer, names: readonly string[]): MergePlace[] {
  const adapters = names.flatMap((name): (readonly [string, LoraWeights])[] => {
    const weights = layer.adapters.get(name);
    return weights === undefined ? [] : [[name, weights]];
  });
  if (adapters.length === 0) return [];
  checkAdapters(path, layer, adapters);
  return [{ path, layer, ...storedWeight(path, layer), adapters }];
}

function storedWeight(path: string, { base }: LoraLayer): Pick<MergePlace, 'weight' | 'dtype'> {
  const weight =
    base instanceof Linear || base instanceof Conv1d || base instanceof Embedding ? base.weight : undefined;
  const dtype = weight === undefined ? undefined : fileDtypeOf(weight.tensor.dtype);
  if (weight === undefined || dtype === undefined)
    throw new LowrankError({
      code: 'patch.mergeEncoding',
      what: path,
      expected: 'a linear layer or an embedding with a weight in f32, f16 or bf16',
      got: weight?.tensor.dtype ?? `a ${base.constructor.name}, which holds codes`,
      remedy: 'Leave the adapter unmerged, or load the model in 16 bits.',
    });
  requireStored(path, weight);
  sourceOf(weight.tensor);
  return { weight, dtype };
}

function checkAdapters(path: string, layer: LoraLayer, adapters: MergePlace['adapters']): void {
  const stuck = adapters.find(([, { variant }]) => variant !== undefined && variant.unmergeRow === undefined);
  if (stuck !== undefined)
    throw new LowrankError({
      code: 'patch.mergeVariant',
      what: `merging ${stuck[0]} at ${path}`,
      expected: 'a variant of LoRA that can be unmerged',
      got: 'one without unmergeRow',
      remedy: 'Save it, and merge it into the model’s files (mergedTensors).',
    });
  if (adapters.length > 1 && adapters.some(([, { variant }]) => variant?.vector !== undefined))
    throw new LowrankError({
      code: 'patch.mergeDora',
      what: `merging ${adapters.map(([name]) => name).join(' and ')} at ${path}`,
      expected: 'one adapter, where it depends on W and is no plain sum, as with DoRA',
      got: 'several, of which each would change what the others depend on',
      remedy: 'Merge one at a time.',
    });
  if (adapters.some(([, { bias }]) => bias !== undefined) && biasOf(layer) === undefined)
    throw new LowrankError({
      code: 'patch.mergeBias',
      what: `merging lora_bias at ${path}`,
      expected: 'a layer with a bias',
      got: 'one without',
      remedy: 'Leave the adapter unmerged, or train it without lora_bias.',
    });
}

export function biasOf({ base }: LoraLayer): Parameter | undefined {
  return base instanceof Linear || base instanceof Conv1d ? base.bias : undefined;
}

/**
 * Refuses inactive adapters with modules saved whole or token rows: merging does not touch those, they go by what is
 * active. @throws LowrankError `patch.mergeActive`
 */
export function requireWholeActive(model: Module, names: readonly string[]): void {
  const places = new Map(placesOf(model));
  for (const name of names) {
    const idle =
      copiesOf(model, name).find(([path]) => places.get(path)?.active !== name) ??
      tokenLayers(model).find(([, { active, adapters }]) => adapters.has(name) && !active.includes(name));
    if (idle !== undefined)
      throw new LowrankError({
        code: 'patch.mergeActive',
        what: `merging ${name}`,
        expected: 'an active adapter, since it has modules saved whole or token rows',
        got: `an inactive one, with its own ${idle[0]}`,
        remedy: 'Set the active adapters first (activateAdapter).',
      });
  }
}
