import type { Module } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import type { Source } from '@lowrank/tensor/op';
import { adaptedLayers, adapterNames, requireAdapter } from './adaptedLayers.js';
import { recordsOf } from './adapterRecords.js';
import { requireUnmerged } from './mergeGuards.js';
import { removeCopies } from './savedModules.js';
import { removeRows } from './tokenRows.js';

/**
 * Takes an adapter out of the model, or every one without a name, and frees all that it holds on the device; a layer
 * with no other adapter is put back as it was. The base stays frozen.
 *
 * @throws LowrankError `patch.noAdapter`, `patch.merged`
 */
export function removeAdapter(model: Module, name?: string): void {
  requireUnmerged(model, name === undefined ? 'removing adapters' : `removing the adapter ${name}`);
  if (name !== undefined) requireAdapter(model, name);
  for (const each of name === undefined ? adapterNames(model) : [name]) discardAdapter(model, each);
}

/** The same for whatever there is of an adapter. */
export function discardAdapter(model: Module, name: string): void {
  const vectors = trainedVectors(model);
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
  const kept = trainedVectors(model);
  for (const vector of vectors) if (!kept.has(vector)) vector.dispose();
}

/** The flat vectors that trained parameters are views of: the trainer laid them out, and a view frees nothing. */
function trainedVectors(model: Module): Set<Source> {
  const all = [...model.namedParameters()].flatMap(([, { own, copies }]) => [
    own,
    ...[...copies.values()].map((copy) => copy.own),
  ]);
  return new Set(all.flatMap((value) => vectorOf(value) ?? []));
}

function vectorOf({ node }: Tensor): Source | undefined {
  if (node.kind !== 'op' || node.op.alias === undefined) return undefined;
  const [inner] = node.inputs;
  return inner?.node.kind === 'source' ? inner.node : inner === undefined ? undefined : vectorOf(inner);
}
