import { LowrankError } from '@lowrank/errors';
import type { LoraAdapter } from '@lowrank/lora';
import { readAdapter } from '@lowrank/lora';
import type { ModelFiles } from '@lowrank/models';
import { openFolder, readJson, requireFile } from '@lowrank/models';

/** An adapter's configuration, parsed as JSON alone, and its weights, to be read. */
export type AdapterFolder = Parameters<typeof readAdapter>[0];

/**
 * Opens an adapter folder, of whichever method.
 *
 * @throws LowrankError `cli.pickle`, `cli.mlxAdapter` for folders of other formats, and what a missing file throws
 */
export async function openAdapterFolder(place: string | ModelFiles): Promise<AdapterFolder> {
  const files = typeof place === 'string' ? await openFolder(place) : place;
  const has = async (name: string): Promise<boolean> => (await files.file(name)) !== undefined;
  const config = await readJson(files, 'adapter_config.json');
  if (!(await has('adapter_model.safetensors'))) {
    if (await has('adapter_model.bin'))
      throw new LowrankError({
        code: 'cli.pickle',
        what: `adapter folder ${files.name}`,
        expected: 'adapter_model.safetensors',
        got: 'adapter_model.bin, a pickle',
        remedy: 'Load and save it with a recent PEFT: a pickle can run code when it is read.',
      });
    if (await has('adapters.safetensors'))
      throw new LowrankError({
        code: 'cli.mlxAdapter',
        what: `adapter folder ${files.name}`,
        expected: 'an adapter of PEFT',
        got: 'one of mlx-lm',
        remedy: `Convert it: lowrank convert --from mlx --adapter ${files.name} --output FOLDER`,
      });
  }
  return { config, weights: await requireFile(files, 'adapter_model.safetensors'), name: files.name };
}

/** Reads a LoRA adapter. @param onWarning gets a sentence for each setting that was left aside */
export async function readLoraFolder(folder: AdapterFolder, onWarning?: (text: string) => void): Promise<LoraAdapter> {
  const adapter = await readAdapter(folder);
  for (const text of adapter.warnings ?? []) onWarning?.(text);
  return adapter;
}
