import type { LoraAdapter, LoraAdapterFiles } from '@lowrank/lora';
import { readAdapter } from '@lowrank/lora';
import type { CausalModel, ModelFiles } from '@lowrank/models';
import { findModel, openFolder } from '@lowrank/models';
import type { LoadAdapterOptions, PlacedAdapter } from '@lowrank/patch';
import { loadAdapter as place } from '@lowrank/patch';
import { openAdapterFolder } from './adapterFolder.js';

/**
 * Puts a saved LoRA adapter around a model's layers.
 *
 * @param from a folder, hub id or URL; opened or picked files; the files' bytes by name; or an adapter on the host
 * @throws LowrankError what patch's `loadAdapter`, lora's `readAdapter` and models' `findModel` throw
 */
export async function loadAdapter(
  model: CausalModel,
  from: string | ModelFiles | LoraAdapter | LoraAdapterFiles,
  options: LoadAdapterOptions = {},
): Promise<PlacedAdapter> {
  return place(model, await savedAt(from, options), options);
}

async function savedAt(
  from: Parameters<typeof loadAdapter>[1],
  { variants }: LoadAdapterOptions,
): Promise<LoraAdapter | LoraAdapterFiles> {
  if (typeof from === 'string')
    return savedAt(await openFolder((await findModel(from, { kind: 'adapter' })).folder), { variants });
  if (!('file' in from)) return from;
  return readAdapter({ ...(await openAdapterFolder(from)), variants });
}
