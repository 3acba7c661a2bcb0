import { mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isLowrankError, LowrankError } from '@lowrank/errors';
import type { LoraAdapter } from '@lowrank/lora';
import { serializeAdapter } from '@lowrank/lora';
import { openOutputFolder } from '@lowrank/files';
import { writeFileAtomic } from '@lowrank/safetensors';

/**
 * Writes a PEFT folder: all files are on the disk before the first gets its name, the configuration last, so that
 * only complete folders look like adapters. Returns the bytes of the weights.
 *
 * @throws LowrankError `output.notWritable`, `output.isInput`, `safetensors.notWritten`
 */
export async function writeAdapter(adapter: LoraAdapter, output: string, inputs: readonly string[]): Promise<number> {
  const files: Readonly<Record<string, Uint8Array>> = serializeAdapter(adapter);
  const folder = await openOutputFolder(output, { inputs });
  let staging: string | undefined;
  try {
    staging = await mkdtemp(join(output, '.lowrank-'));
    const names = Object.keys(files).sort(
      (a, b) => Number(a === 'adapter_config.json') - Number(b === 'adapter_config.json'),
    );
    for (const name of names) await writeFileAtomic(join(staging, name), files[name] ?? '');
    for (const name of names) await rename(join(staging, name), join(output, name));
    await rm(staging, { recursive: true });
  } catch (cause) {
    if (staging !== undefined) await rm(staging, { recursive: true, force: true });
    await folder.discard();
    if (isLowrankError(cause) || !(cause instanceof Error)) throw cause;
    throw new LowrankError({
      code: 'output.notWritable',
      what: `output folder ${output}`,
      expected: 'a folder in which files can be made and written over',
      got: cause.message,
      remedy: 'Choose another --output.',
      cause,
    });
  }
  return files['adapter_model.safetensors']?.byteLength ?? 0;
}
