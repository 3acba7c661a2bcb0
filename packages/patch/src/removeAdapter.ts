import type { Module } from '@lowrank/nn';
import { adaptedLayers, adapterNames, requireAdapter } from './adaptedLayers.js';
import { recordsOf } from './adapterRecords.js';
import { requireUnmerged } from './mergeGuards.js';
import { removeCopies } from './savedModules.js';
import { removeRows } from './tokenRows.js';

/**
 * Takes an adapter out of the model, or all of them without a name, and frees everything that it holds on the device; a
 * layer with no other adapter becomes what it was. The base stays frozen.
 *
 * @throws LowrankError `patch.noAdapter`, `patch.merged`
 */
export function removeAdapter(model: Module, name?: string): void {
  requireUnmerged(model, name === undefined ? 'removing adapters' : `removing the adapter ${name}`);
  if (name !== undefined) requireAdapter(model, name);
  for (const each of name === undefined ? adapterNames(model) : [name]) discardAdapter(model, each);
}

/** The same without the checks, for what a failed addition left too. What training laid out goes with its last view. */
export function discardAdapter(model: Module, name: string): void {
  for (const [path, layer] of adaptedLayers(model)) {
    layer.remove(name);
    if (layer.adapters.size === 0) model.setModule(path, layer.base);
  }
  removeCopies(model, name);
  removeRows(model, name);
  const record = recordsOf(model);
  record.configs.delete(name);
  record.tables.delete(name);
  record.active = record.active.filter((other) => other !== name);
}
