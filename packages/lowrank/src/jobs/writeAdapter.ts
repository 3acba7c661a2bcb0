import { mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { LoraAdapter } from '@lowrank/lora';
import { serializeAdapter } from '@lowrank/lora';
import { writeFileAtomic } from '@lowrank/safetensors';
import { openOutputFolder } from '../outputFolder.js';

/**
 * Writes a PEFT folder: all files are on the disk before the first gets its name, the configuration last, so that no folder looks like an adapter and is none. Returns the bytes of the weights.
 *
 * @throws LowrankError `output.notWritable`, `output.isInput`, `safetensors.notWritten`
 */
export async function writeAdapter(adapter: LoraAdapter, output: string, inputs: readonly string[]): Promise<number> {
  const files = serializeAdapter(adapter);
  const folder = await openOutputFolder(output, { inputs });
  const staging = await mkdtemp(join(output, '.lowrank-')).catch(async (error: unknown) => {
    await folder.discard();
    throw error;
  });
  try {
    const names = Object.keys(files).sort((a, b) => Number(a === 'adapter_config.json') - Number(b === 'adapter_config.json'));
    for (const name of names) await writeFileAtomic(join(staging, name), files[name] ?? '');
    for (const name of names) await rename(join(staging, name), join(output, name));
    await rm(staging, { recursive: true });
  } catch (error) {
    await rm(staging, { recursive: true, force: true });
    await folder.discard();
    throw error;
  }
  return files['adapter_model.safetensors']?.byteLength ?? 0;
}
