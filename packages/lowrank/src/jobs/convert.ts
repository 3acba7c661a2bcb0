import type { TextFiles } from '@lowrank/data';
import { readTokenizer } from '@lowrank/data';
import { LowrankError, parseJson } from '@lowrank/errors';
import type { GgufFile, Json, VocabularyFiles } from '@lowrank/gguf';
import { grownBase, untie } from '@lowrank/methods';
import { convertAdapter, convertModel, writeGguf } from '@lowrank/gguf';
import type { ModelFiles } from '@lowrank/models';
import { withoutBaseTables } from './baseTables.js';
import { finiteBytes } from './finiteBytes.js';
import { findFamily, openFolder, openModelWeights, outlineModel, readJson } from '@lowrank/models';
import { mergedTensors } from '@lowrank/patch';
import { claimFile, writeFileAtomic } from '@lowrank/files';
import { stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { readLoraFolder } from '../adapterFolder.js';
import type { OutputOptions } from '../settings/methodTables.js';
import type { TransferEvents } from './folders.js';
import { withFolders } from './folders.js';
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
  dtype = 'f16',
  preTokenizer,
  onWarning,
}: ConvertOptions & { readonly baseModel: string }): Promise<GgufFile> {
  const files = await openFolder(model);
  const { file: stored, config: given, pathOf } = await openModelWeights(files);
  const parts = [...outlineModel(given).children().keys()];
  // Leaves out tensors outside the model, such as a value head, as loading does.
  const tensors = [...stored.tensors.values()].flatMap((info) => {
    const { name, dtype: from, shape } = info;
    const path = pathOf(name);
    if (path === undefined || !parts.some((part) => path.startsWith(`${part}.`))) return [];
    return [{ name: path, dtype: from as string, shape, read: async () => finiteBytes(await stored.read(name), info) }];
  });
  const merged = adapter === undefined ? undefined : await readLoraFolder(adapter, onWarning);
  const own = { config: given, tensors };
  const { config, tensors: sized } = merged === undefined ? own : grownBase(own, outlineModel(given), merged);
  const ready = merged === undefined ? undefined : untie(outlineModel(config), merged, sized);
  const architecture = findFamily(config['model_type'])?.llamaCpp;
  if (ready?.parted === true && architecture?.tiesOutput === true)
    throw new LowrankError({
      code: 'gguf.tied',
      what: 'merging the adapter',
      expected: 'one that keeps embedding and output projection tied, as llama.cpp has them for this model',
      got: 'one that changes them separately',
      remedy: 'Keep the adapter for PEFT or Lowrank, or merge it into a model folder.',
    });
  return convertModel({
    architecture,
    config: ready?.parted === true ? { ...config, tie_word_embeddings: false } : config,
    generationConfig: await optionalJson(files, 'generation_config.json'),
    tensors: ready === undefined ? tensors : mergedTensors(ready.tensors, ready.adapter),
    vocabulary: { ...(await vocabularyOf(files, await tokenizerFiles(model, adapter))), preTokenizer },
    name: baseModel === model ? basename(resolve(model)) : baseModel,
    type: dtype === 'f16' ? 'F16' : 'F32',
  });
}

/** A tokenizer's files; what SentencePiece says beside them is the model's. */
async function vocabularyOf(files: ModelFiles, texts: TextFiles): Promise<VocabularyFiles> {
  const json = async (name: string): Promise<Json | undefined> => {
    const text = await texts.text(name);
    return text === undefined ? undefined : (parseJson(text) as Json);
  };
  const tokenizerJson = await json('tokenizer.json');
  const bytes = async (name: string): Promise<Uint8Array | undefined> => {
    const source = await files.file(name);
    return source?.read(0, await source.size());
  };
  return {
    tokenizerJson,
    tokenizerConfig: await json('tokenizer_config.json'),
    tokenizerModel: await bytes('tokenizer.model'),
    addedTokens: await json('added_tokens.json'),
    chatTemplate: await texts.text('chat_template.jinja'),
    tokenizer: tokenizerJson === undefined ? undefined : await readTokenizer(texts),
  };
}

async function optionalJson(files: ModelFiles, name: string): Promise<Json | undefined> {
  return (await files.file(name)) === undefined ? undefined : readJson(files, name);
}
