import type { subspaceSettings } from '@lowrank/methods';
import { extractSubspace, injectSubspace, serializeSubspace } from '@lowrank/methods';
import type { OptionsOf } from '@lowrank/settings';
import { writeFileAtomic } from '@lowrank/safetensors';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { OpenModel } from './openModel.js';
import type { Trainable } from './trainable.js';

/** Every weight within a random subspace: z is trained, and saved as a folder of our own. */
export function trainSubspace(
  { module, folder: origin }: OpenModel,
  options: OptionsOf<typeof subspaceSettings> & { readonly seed: number; readonly baseModel?: string },
): Trainable {
  const {
    dimension = 0,
    projection = 'sparse',
    entries = 1,
    structureAware = false,
    seed,
    baseModel = origin,
  } = options;
  const subspace = injectSubspace(module, { dimension, projection, entries, structureAware, seed });
  return {
    parameters: subspace.parameters,
    async save(folder) {
      await mkdir(folder, { recursive: true });
      const files = serializeSubspace(await extractSubspace(subspace, { baseModel }));
      for (const name of ['adapter_model.safetensors', 'adapter_config.json'] as const)
        await writeFileAtomic(join(folder, name), files[name]);
    },
  };
}
