import type { LoraConfig } from '@lowrank/lora';
import type { Module } from '@lowrank/nn';

/** What a model knows of its adapters that their layers do not. */
interface AdapterRecords {
  /** By name: what an adapter is saved with. */
  readonly configs: Map<string, LoraConfig>;
  /** By name: tables of the base that came with an adapter (`<path>.base_layer.weight`), and are saved with it. */
  readonly tables: Map<string, readonly string[]>;
  /** In the order in which they are added up. */
  active: readonly string[];
}

const records = new WeakMap<Module, AdapterRecords>();

/** The records of a model, by its root: every verb takes the same module. */
export function recordsOf(model: Module): AdapterRecords {
  const found = records.get(model) ?? {
    configs: new Map<string, LoraConfig>(),
    tables: new Map<string, readonly string[]>(),
    active: [],
  };
  records.set(model, found);
  return found;
}
