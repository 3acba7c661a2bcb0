import type { TextFiles } from '@lowrank/data';
import { readTokenizer } from '@lowrank/data';
import { LowrankError, parseJson } from '@lowrank/errors';
import type { GgufFile, Json, VocabularyFiles } from '@lowrank/gguf';
import { convertModel } from '@lowrank/gguf';
import type { LoraAdapter } from '@lowrank/lora';
import { grownBase, untie } from '@lowrank/methods';
import type { ModelFiles } from '@lowrank/models';
import { findFamily, openModelWeights, outlineModel } from '@lowrank/models';
import { mergedTensors } from '@lowrank/patch';
import { finiteBytes } from './finiteBytes.js';
import { optionalJson } from './optionalJson.js';

export interface GgufModelParts {
  readonly files: ModelFiles;
  /** What its texts are read and written with. */
  readonly texts: TextFiles;
  /** To be merged in. */
  readonly adapter?: LoraAdapter | undefined;
  readonly name: string;
  /** Of the matrices. Default f16. */
  readonly dtype?: 'f16' | 'f32' | undefined;
  readonly preTokenizer?: string | undefined;
}

/** A model, with an adapter merged in where one is given, as one GGUF file. @throws LowrankError `gguf.tied` */
export async function ggufModel(parts: GgufModelParts): Promise<GgufFile> {
  const { files, texts, adapter: merged, name: title, dtype = 'f16', preTokenizer } = parts;
  const { file: stored, config: given, pathOf } = await openModelWeights(files);
  const roots = [...outlineModel(given).children().keys()];
  // Leaves out tensors outside the model, such as a value head, as loading does.
  const tensors = [...stored.tensors.values()].flatMap((info) => {
    const { name, dtype: from, shape } = info;
    const path = pathOf(name);
    if (path === undefined || !roots.some((root) => path.startsWith(`${root}.`))) return [];
    return [{ name: path, dtype: from as string, shape, read: async () => finiteBytes(await stored.read(name), info) }];
  });
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
    vocabulary: { ...(await vocabularyOf(files, texts)), preTokenizer },
    name: title,
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
