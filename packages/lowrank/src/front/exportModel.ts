import { writeGguf } from '@lowrank/gguf';
import type { LoraAdapter, LoraAdapterFiles } from '@lowrank/lora';
import { combineAdapters, readAdapterFiles } from '@lowrank/lora';
import { lora } from '@lowrank/methods';
import type { CausalModel, ModelFiles } from '@lowrank/models';
import { companionFiles, outlineModel, parseHubId } from '@lowrank/models';
import { writeSafetensors } from '@lowrank/safetensors';
import { denseWeights } from '../jobs/denseWeights.js';
import { ggufModel } from '../jobs/ggufModel.js';
import { mergedEntries } from '../jobs/mergedEntries.js';
import { asTextFiles } from './modelSource.js';

/** An adapter of LoRA as PEFT's files, and how strongly it counts: 1 as it was trained. */
export interface WeightedFiles {
  readonly files: LoraAdapterFiles;
  readonly strength?: number | undefined;
}

/** How a model is written. */
export interface ExportOptions {
  /** A Hugging Face folder, or one file for llama.cpp. Default `safetensors`. */
  readonly format?: 'safetensors' | 'gguf' | undefined;
  /** llama.cpp's name for how the tokenizer splits text, for one that it is not known of. */
  readonly preTokenizer?: string | undefined;
}

/**
 * A model with adapters merged in, as files: a Hugging Face folder, W + Σ strength·s·B·A in the dtype of W, or one GGUF
 * file in f16. The weights are those of the model's files: what it was quantized to while it was loaded has no part in
 * it.
 *
 * @throws LowrankError what `lowrank merge`, `lowrank convert` and `combineAdapters` throw
 */
export async function exportModel(
  { files, name, network }: { readonly files: ModelFiles; readonly name: string; readonly network: CausalModel },
  adapters: readonly WeightedFiles[],
  { format = 'safetensors', preTokenizer }: ExportOptions,
): Promise<Readonly<Record<string, Uint8Array>>> {
  const adapter = await oneAdapter(adapters);
  if (format === 'safetensors') return mergedFolder(files, adapter, network);
  const file = await ggufModel({ files, texts: asTextFiles(files), adapter, name: titleOf(name), preTokenizer });
  return { 'model.gguf': await bytesOf(writeGguf(file)) };
}

/** A hub id, or the last part of a path. */
function titleOf(name: string): string {
  return parseHubId(name) === undefined ? (name.split('/').at(-1) ?? name) : name;
}

/** The sum of weighted adapters is one adapter, exactly. */
async function oneAdapter(adapters: readonly WeightedFiles[]): Promise<LoraAdapter | undefined> {
  const read = await Promise.all(
    adapters.map(async ({ files, strength = 1 }) => ({ adapter: await readAdapterFiles(files), weight: strength })),
  );
  const [first] = read;
  return first === undefined || (read.length === 1 && first.weight === 1) ? first?.adapter : combineAdapters(read);
}

async function mergedFolder(
  files: ModelFiles,
  adapter: LoraAdapter | undefined,
  network: CausalModel,
): Promise<Readonly<Record<string, Uint8Array>>> {
  const dense = await denseWeights(files);
  const { config, tensors } =
    adapter === undefined
      ? dense
      : await lora.merge(adapter, {
          config: dense.config,
          tensors: dense.tensors,
          outline: (changed) => (changed === undefined ? dense.outline : outlineModel(changed)),
          load: () => Promise.resolve(network),
        });
  const companions: Record<string, Uint8Array> = {};
  for (const name of companionFiles) {
    const source = await files.file(name);
    if (source !== undefined) companions[name] = new Uint8Array(await source.read(0, await source.size()));
  }
  const weights = writeSafetensors(mergedEntries(tensors, dense), { format: 'pt', ...dense.metadata });
  return {
    'config.json': new TextEncoder().encode(`${JSON.stringify(config, null, 2)}\n`),
    'model.safetensors': await bytesOf(weights),
    ...companions,
  };
}

async function bytesOf(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array<ArrayBuffer>[] = [];
  for await (const piece of pieces) all.push(new Uint8Array(piece));
  return new Uint8Array(await new Blob(all).arrayBuffer());
}
