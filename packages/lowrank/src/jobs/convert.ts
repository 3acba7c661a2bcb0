import { LowrankError } from '@lowrank/errors';
import type { GgufFile } from '@lowrank/gguf';
import { convertAdapter, writeGguf } from '@lowrank/gguf';
import { withoutBaseTables } from './baseTables.js';
import { findFamily, openFolder, readJson } from '@lowrank/models';
import { claimFile, writeFileAtomic } from '@lowrank/files';
import { stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { readLoraFolder } from '../adapterFolder.js';
import type { OutputOptions } from '../settings/methodTables.js';
import type { TransferEvents } from './folders.js';
import { withFolders } from './folders.js';
import { ggufModel } from './ggufModel.js';
import { tokenizerFiles } from './tokenizerFiles.js';

/** What files can be converted to. */
export const conversions = ['gguf'] as const;

export interface ConvertOptions extends TransferEvents, OutputOptions {
  readonly to: (typeof conversions)[number];
  /** Of the model, or the adapter's base model: folder, hub id or URL. */
  readonly model: string;
  /** Alone it is converted; with `merge` the model with it. */
  readonly adapter?: string | undefined;
  readonly merge?: boolean | undefined;
  /** The file to write. */
  readonly output: string;
  /** Of a model's matrices. Default f16; adapters are f32. */
  readonly dtype?: 'f16' | 'f32' | undefined;
  /** llama.cpp's name for how the tokenizer splits text, for one that it is not known of. */
  readonly preTokenizer?: string | undefined;
}

/** What `lowrank convert` prints. */
export interface ConvertResult {
  readonly output: string;
  readonly kind: 'adapter' | 'model';
  readonly tensors: number;
  readonly bytes: number;
}

/** Writes an adapter, a model, or a model with an adapter merged in as one GGUF file for llama.cpp. */
export async function convertFolders(given: ConvertOptions): Promise<ConvertResult> {
  const options = await withFolders(given, given);
  const { adapter, merge = false, output, overwrite } = options;
  if (merge && adapter === undefined)
    throw new LowrankError({ code: 'cli.conflict', what: '--merge', expected: '--adapter with it', got: 'none' });
  const kind = adapter === undefined || merge ? 'model' : 'adapter';
  const claim = await claimFile(output, { magic: 'GGUF', overwrite });
  try {
    const file =
      kind === 'adapter' && adapter !== undefined ? await adapterFile(options, adapter) : await modelFile(options);
    await writeFileAtomic(output, writeGguf(file));
    return { output, kind, tensors: file.tensors.length, bytes: (await stat(output)).size };
  } finally {
    await claim.discard();
  }
}

async function adapterFile(
  { model, dtype, preTokenizer, onWarning }: ConvertOptions,
  adapter: string,
): Promise<GgufFile> {
  for (const [flag, value] of Object.entries({ '--dtype': dtype, '--pre-tokenizer': preTokenizer })) {
    if (value !== undefined)
      throw new LowrankError({
        code: 'cli.conflict',
        what: `${flag} with an adapter`,
        expected: '--merge, or no such flag',
        got: value,
        remedy: 'An adapter is written in f32 and has no tokenizer.',
      });
  }
  const files = await openFolder(model);
  const config = await readJson(files, 'config.json');
  return convertAdapter({
    adapter: await withoutBaseTables(await readLoraFolder(adapter, onWarning), files),
    config,
    architecture: findFamily(config['model_type'])?.llamaCpp,
    name: basename(resolve(adapter)),
  });
}

async function modelFile({
  model,
  baseModel,
  adapter,
  dtype,
  preTokenizer,
  onWarning,
}: ConvertOptions & { readonly baseModel: string }): Promise<GgufFile> {
  return ggufModel({
    files: await openFolder(model),
    texts: await tokenizerFiles(model, adapter),
    adapter: adapter === undefined ? undefined : await readLoraFolder(adapter, onWarning),
    name: baseModel === model ? basename(resolve(model)) : baseModel,
    dtype,
    preTokenizer,
  });
}
