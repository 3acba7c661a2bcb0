import { LowrankError } from '@lowrank/errors';
import type { LoraAdapter } from '@lowrank/lora';
import type { AdapterSource, MethodContext, SavedMethod } from '@lowrank/methods';
import { lora, methodOf, readMethod } from '@lowrank/methods';
import type { ModelFiles } from '@lowrank/models';
import { openFolder, readJson, requireFile } from '@lowrank/models';

/**
 * Opens an adapter folder, of whichever method.
 *
 * @throws LowrankError `cli.pickle`, `cli.mlxAdapter` for folders of other formats, and what a missing file throws
 */
export async function openAdapterFolder(place: string | ModelFiles): Promise<AdapterSource> {
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

/** Reads an adapter folder, of whichever method. */
export async function readAdapterFolder(place: string | ModelFiles, context?: MethodContext): Promise<SavedMethod> {
  return readMethod(await openAdapterFolder(place), context);
}

/**
 * Reads an adapter folder for what takes LoRA alone: combining, converting, chats.
 *
 * @param onWarning gets a sentence for each setting that was left aside
 * @throws LowrankError `cli.method` for other methods
 */
export async function readLoraFolder(
  place: string | ModelFiles,
  onWarning?: (text: string) => void,
): Promise<LoraAdapter> {
  const source = await openAdapterFolder(place);
  const { name, title } = methodOf(source.config, source.name);
  if (name === lora.name) return lora.read(source, { onWarning });
  throw new LowrankError({
    code: 'cli.method',
    what: `adapter folder ${source.name}`,
    expected: 'LoRA, which this needs',
    got: title,
    remedy: 'Use it with its base model: `lowrank eval` and `lowrank generate` take it as it is.',
  });
}
