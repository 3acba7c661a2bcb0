import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LowrankError } from '@lowrank/errors';
import { writeFileAtomic } from '@lowrank/safetensors';

/** Files of a Hugging Face folder that go with the weights, as far as they are there. */
const companions = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'tokenizer.model',
  'vocab.json',
  'merges.txt',
  'chat_template.jinja',
  'generation_config.json',
];

/** @throws LowrankError `cli.noFolder` */
export async function checkFolder(path: string, what: string, remedy: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory() === true) return;
  throw new LowrankError({ code: 'cli.noFolder', what: `${what} ${path}`, expected: 'a folder', got: found === undefined ? 'nothing at that path' : 'a file', remedy });
}

/** Copies tokenizer and generation files from one model folder to another, bytes untouched, each whole or not at all. Returns their names. */
export async function copyCompanions(from: string, to: string, names: readonly string[] = companions): Promise<string[]> {
  const copied: string[] = [];
  for (const name of names) {
    const bytes = await readFile(join(from, name)).catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (bytes === undefined) continue;
    await writeFileAtomic(join(to, name), bytes);
    copied.push(name);
  }
  return copied;
}

export const modelRemedy = 'A model folder is one of Hugging Face: config.json, model.safetensors and tokenizer.json.';
export const adapterRemedy = 'An adapter folder is one of PEFT: adapter_config.json and adapter_model.safetensors.';
