import type { BaseWeights } from '@lowrank/gguf';
import type { ByteSource } from '@lowrank/safetensors';
import { families } from './families/index.js';

/** A GGUF file's files, as ModelFiles has them. */
interface GgufFolder {
  readonly name: string;
  file(name: string): Promise<ByteSource | undefined>;
  weights(): Promise<BaseWeights>;
  readonly warnings: readonly string[];
}

/**
 * A GGUF file of llama.cpp as the folder of Hugging Face that it stands for: config.json, tokenizer.json,
 * tokenizer_config.json, chat_template.jinja and generation_config.json are made of its metadata, and its weights have
 * transformers' names, rows and norms. Its codes stay codes where they are asked for.
 *
 * @throws LowrankError the codes of @lowrank/gguf's openGgufBase
 */
export async function ggufFiles(source: ByteSource, name = source.name): Promise<GgufFolder> {
  const { openGgufBase } = await import('@lowrank/gguf');
  const readable = families.flatMap(({ modelTypes: [modelType], llamaCpp }) =>
    modelType !== undefined && llamaCpp?.base !== undefined ? [{ modelType, architecture: llamaCpp }] : [],
  );
  const opened = await openGgufBase(source, readable);
  return {
    name,
    warnings: opened.warnings,
    file: (wanted) => Promise.resolve(opened.file(wanted)),
    weights: () => Promise.resolve(opened.weights),
  };
}
