import type { LoraAdapterFiles } from '@lowrank/lora';
import { serializeAdapter } from '@lowrank/lora';
import type { CausalModel } from '@lowrank/models';
import { saveAdapter as readBack } from '@lowrank/patch';
import { writeFileAtomic } from '@lowrank/safetensors';

/**
 * Makes PEFT's files of an adapter in a model. With a folder (Node) they are also written there, each whole or not at
 * all; a browser takes the bytes.
 */
export async function saveAdapter(
  model: CausalModel,
  folder?: string,
  options: { readonly name?: string } = {},
): Promise<LoraAdapterFiles> {
  const files = serializeAdapter(await readBack(model, options));
  if (folder === undefined) return files;
  const { mkdir } = await import('node:fs/promises');
  await mkdir(folder, { recursive: true });
  for (const [name, bytes] of Object.entries(files)) await writeFileAtomic(`${folder}/${name}`, bytes);
  return files;
}
