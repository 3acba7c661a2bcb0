import type { LoraConfig } from '@lowrank/lora';
import { serializeAdapter } from '@lowrank/lora';
import type { CausalModel } from '@lowrank/models';
import { extractAdapter } from '@lowrank/patch';
import { writeFileAtomic } from '@lowrank/safetensors';

/**
 * Writes the adapter that `injectAdapter` or `loadAdapter` put around a model as a PEFT folder, each file whole or not
 * at all (Node). In a browser, `serializeAdapter(await extractAdapter(model, config))` gives the same files as bytes.
 */
export async function saveAdapter(model: CausalModel, config: LoraConfig, folder: string): Promise<void> {
  const { mkdir } = await import('node:fs/promises');
  await mkdir(folder, { recursive: true });
  const files = serializeAdapter(await extractAdapter(model, config));
  for (const [name, bytes] of Object.entries(files)) await writeFileAtomic(`${folder}/${name}`, bytes);
}
