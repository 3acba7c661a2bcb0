import type { Module } from '@lowrank/nn';
import { adaptedLayers, requireAdapter } from './adaptedLayers.js';
import { recordsOf } from './adapterRecords.js';
import { requireUnmerged } from './mergeGuards.js';
import { activateCopies } from './savedModules.js';
import { activateRows } from './tokenRows.js';

/**
 * Uses an adapter, or several, whose outputs add up; [] for the base alone. With `fn`, which traces something, only
 * until `fn` returns or throws. What is compiled already keeps the adapters it was traced with; for adapters that
 * change under compiled functions open a bank.
 *
 * @throws LowrankError `patch.noAdapter`, `patch.merged`, `patch.savedTwice` where two adapters replace the same weight
 */
export function activateAdapter(model: Module, names: string | readonly string[]): void;
export function activateAdapter<T>(model: Module, names: string | readonly string[], fn: () => T): T;
export function activateAdapter<T>(model: Module, names: string | readonly string[], fn?: () => T): T | undefined {
  const before = recordsOf(model).active;
  use(model, typeof names === 'string' ? [names] : names);
  if (fn === undefined) return undefined;
  try {
    return fn();
  } finally {
    use(model, before);
  }
}

function use(model: Module, names: readonly string[]): void {
  requireUnmerged(model, 'switching between adapters');
  for (const name of names) requireAdapter(model, name);
  activateCopies(model, names);
  activateRows(model, names);
  for (const layer of adaptedLayers(model).values()) layer.active = names.filter((name) => layer.adapters.has(name));
  recordsOf(model).active = names;
}
