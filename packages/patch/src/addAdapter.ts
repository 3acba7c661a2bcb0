import type { LoraConfig } from '@lowrank/lora';
import { checkLoraConfig } from '@lowrank/lora';
import type { Module } from '@lowrank/nn';
import type { Begin, BeginningOptions } from './beginning.js';
import type { PlacedAdapter } from './placeAdapter.js';
import { checkRoom, placeAdapter } from './placeAdapter.js';
import { beginAlone } from './plainBeginning.js';
import { addCopies } from './savedModules.js';
import type { Adaptable } from './targets.js';
import { matchTargets } from './targets.js';
import { targetWarnings } from './targetWarnings.js';
import { addRows } from './tokenRows.js';

/** Options of `addAdapter`. */
export interface AddAdapterOptions extends BeginningOptions {
  /** Gets a sentence for what of the configuration matches nothing. */
  readonly onWarning?: ((text: string) => void) | undefined;
}

/** What begins from more than the layers themselves know: the data, or the weights as they were; loaded late. */
const beginnings: Readonly<Partial<Record<LoraConfig['init'], () => Promise<Begin>>>> = {
  eva: async () => (await import('./evaBeginning.js')).beginEva,
  loftq: async () => (await import('./loftqBeginning.js')).beginLoftq,
};

/**
 * Puts a new adapter around every layer that the configuration names, makes it the active one, and freezes everything
 * else. Where matrices or vectors begin as something of W (PiSSA, OLoRA; DoRA's norms), W is read, one layer at a time;
 * EVA needs `options.data`, LoftQ `options.loftq`. The base itself never changes (but by LoftQ of several iterations):
 * the layer subtracts the initial s·B·A from its output (PEFT subtracts it from W instead).
 *
 * @returns what to train, and the configuration that the adapter is saved with
 * @throws LowrankError `patch.noTargets`, `patch.notLinear`, `patch.adapterExists`, `patch.output`,
 * `patch.savedModules`, `patch.beginning` (no data for EVA, no weights for LoftQ), `patch.data`; `lora.config`,
 * `lora.svd`, `lora.baseWeight`, `lora.loftq`. The model is then as it was.
 */
export async function addAdapter(
  model: Module,
  asked: LoraConfig,
  options: AddAdapterOptions = {},
): Promise<PlacedAdapter> {
  const { name = 'default' } = options;
  const given = checkLoraConfig(asked);
  const targets = given.targetModules.length === 0 ? new Map<string, Adaptable>() : matchTargets(model, given);
  checkRoom(model, given, { ...options, targets });
  for (const text of targetWarnings(model, given)) options.onWarning?.(text);
  const load = options.restored === true ? undefined : beginnings[given.init];
  const begin = load === undefined ? beginAlone : await load();
  const { config, addTo } = await begin(model, given, { ...options, targets });
  return placeAdapter(model, { name, config }, async () => {
    for (const [path, layer] of targets) await addTo(path, layer);
    await addCopies(model, config, name);
    await addRows(model, config, name);
  });
}
