import { claimOutput } from '@lowrank/files';
import type { ClaimOptions } from '@lowrank/files';
import type { LoraAdapter } from '@lowrank/lora';
import { serializeAdapter } from '@lowrank/lora';
import { saveInto } from './saveInto.js';

/**
 * Writes a PEFT folder, all its files or none. Returns the bytes of the weights.
 *
 * @throws LowrankError what claimOutput throws, and `files.notWritten`
 */
export async function writeAdapter(adapter: LoraAdapter, output: string, options: ClaimOptions): Promise<number> {
  const files: Readonly<Record<string, Uint8Array>> = serializeAdapter(adapter);
  await saveInto(await claimOutput(output, options), 'adapter_config.json', async (saving) => {
    for (const [name, content] of Object.entries(files)) await saving.write(name, content);
  });
  return files['adapter_model.safetensors']?.byteLength ?? 0;
}
