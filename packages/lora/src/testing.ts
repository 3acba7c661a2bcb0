import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { bytesSource } from '@lowrank/safetensors';
import type { LoraAdapter } from './loraAdapter.js';
import { readAdapter } from './readAdapter.js';

/** Where PEFT's and transformers' answers lie (parity/README.md). */
export const goldenRoot = fileURLToPath(new URL('../../../parity/golden/llama/', import.meta.url));
export const gptRoot = fileURLToPath(new URL('../../../parity/golden/gpt/', import.meta.url));

/** An adapter that PEFT saved. */
export async function goldenAdapter(name: string, root = goldenRoot): Promise<LoraAdapter> {
  const folder = `${root}adapters/${name}`;
  const config: unknown = JSON.parse(await readFile(`${folder}/adapter_config.json`, 'utf8'));
  return readAdapter({
    config,
    weights: bytesSource(await readFile(`${folder}/adapter_model.safetensors`), `${name}.safetensors`),
    name,
  });
}
