import { LowrankError, shown } from '@lowrank/errors';
import type { ByteSource } from '@lowrank/safetensors';
import { bytesSource } from '@lowrank/safetensors';
import type { Json } from '../json.js';
import type { ReadableFamily } from './baseConfig.js';
import { baseConfig } from './baseConfig.js';
import type { BaseTokenizer } from './baseTokenizer.js';
import { baseTokenizer } from './baseTokenizer.js';
import type { BaseWeights } from './baseWeights.js';
import { baseWeights } from './baseWeights.js';
import { readHeader } from './header.js';
import { Metadata } from './metadata.js';

/** A model file as a folder of Hugging Face: its files by name, and its weights. */
export interface GgufBaseFile {
  /** config.json */
  readonly config: Json;
  readonly weights: BaseWeights;
  /** What the file says and is not followed. */
  readonly warnings: readonly string[];
  /** Makes a file of the folder; undefined for one that it has not. */
  file(name: string): ByteSource | undefined;
}

/**
 * Opens a model file of llama.cpp: reads and checks its header, and no tensor yet.
 *
 * @param families those whose model files are read, as transformers and llama.cpp know them
 * @throws LowrankError `gguf.adapterFile` for an adapter, `gguf.architecture` for another family, and the codes of
 * readHeader, baseConfig and baseTokenizer
 */
export async function openGgufBase(source: ByteSource, families: readonly ReadableFamily[]): Promise<GgufBaseFile> {
  const { metadata: values, tensors } = await readHeader(source);
  const metadata = new Metadata(source.name, values);
  const name = metadata.text('general.architecture');
  if (metadata.optionalText('general.type') === 'adapter')
    throw new LowrankError({
      code: 'gguf.adapterFile',
      what: source.name,
      expected: 'a model',
      got: 'an adapter',
      remedy: 'Give the model that it is for. Lowrank reads adapters in PEFT’s form.',
    });
  const family = families.find(({ architecture }) => architecture.architecture === name);
  if (family === undefined)
    throw new LowrankError({
      code: 'gguf.architecture',
      what: `general.architecture in ${source.name}`,
      expected: `one of ${families.map(({ architecture }) => architecture.architecture).join(', ')}`,
      got: shown(name),
      remedy: "Use the model's folder of Hugging Face, where Lowrank has its family.",
    });
  const factors = tensors.get('rope_freqs.weight');
  const rotaryFactors =
    factors?.type === 'F32'
      ? new Float32Array(
          new Uint8Array(await source.read(factors.byteOffset, factors.byteOffset + factors.byteLength)).buffer,
        )
      : undefined;
  const { config, unknown } = baseConfig(family, { metadata, tensors, rotaryFactors });
  const weights = baseWeights(source, tensors, {
    architecture: family.architecture,
    heads: Number(config['num_attention_heads']),
    keyHeads: Number(config['num_key_value_heads']),
  });
  // Made when it is asked for: a vocabulary takes a while.
  let tokenizer: BaseTokenizer | undefined;
  const tokens = (): BaseTokenizer => (tokenizer ??= baseTokenizer(metadata));
  const makers: Readonly<Record<string, () => Json | string | undefined>> = {
    'config.json': () => config,
    'generation_config.json': () => generationConfig(metadata, config),
    'tokenizer.json': () => tokens().tokenizer,
    'tokenizer_config.json': () => tokens().config,
    'chat_template.jinja': () => metadata.optionalText('tokenizer.chat_template'),
    'additional_chat_templates/tool_use.jinja': () => metadata.optionalText('tokenizer.chat_template.tool_use'),
  };
  return {
    config,
    weights,
    warnings: unknown.map((key) => `${source.name}: ${key} is not known, and not followed`),
    file(wanted) {
      const made = Object.hasOwn(makers, wanted) ? makers[wanted]?.() : undefined;
      if (made === undefined) return undefined;
      const text = typeof made === 'string' ? made : JSON.stringify(made);
      return bytesSource(new TextEncoder().encode(text), `${source.name}/${wanted}`);
    },
  };
}

/** Ids that end a text, and the sampling that the model's makers recommend. */
function generationConfig(metadata: Metadata, config: Json): Json {
  const ends = ['eos', 'eot', 'eom'].flatMap(
    (name) => metadata.optionalNumber(`tokenizer.ggml.${name}_token_id`) ?? [],
  );
  const sampling = {
    top_k: 'top_k',
    top_p: 'top_p',
    min_p: 'min_p',
    temp: 'temperature',
    penalty_repeat: 'repetition_penalty',
  };
  const settings = Object.entries(sampling).flatMap(([key, name]) => {
    const value = metadata.optionalNumber(`general.sampling.${key}`);
    return value === undefined ? [] : [[name, value] as const];
  });
  const unique = [...new Set(ends)];
  return {
    ...(typeof config['bos_token_id'] === 'number' ? { bos_token_id: config['bos_token_id'] } : {}),
    ...(unique.length === 0 ? {} : { eos_token_id: unique.length === 1 ? unique[0] : unique }),
    ...(settings.some(([name]) => name === 'temperature') ? { do_sample: true } : {}),
    ...Object.fromEntries(settings),
  };
}
