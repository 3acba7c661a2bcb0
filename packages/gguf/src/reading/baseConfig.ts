import { LowrankError } from '@lowrank/errors';
import type { GgufArchitecture } from '../architecture.js';
import { llama3Factors } from '../architecture.js';
import type { Json } from '../json.js';
import type { ReadTensor } from './header.js';
import type { Metadata } from './metadata.js';

/** A family whose model files are read: what llama.cpp calls it, and what transformers does. */
export interface ReadableFamily {
  /** `model_type` of the config that is made. */
  readonly modelType: string;
  readonly architecture: GgufArchitecture;
}

/** What is read of a model file for its config. */
export interface ModelFacts {
  readonly metadata: Metadata;
  readonly tensors: ReadonlyMap<string, ReadTensor>;
  /** The divisors of rotary frequencies that the file holds as rope_freqs.weight. */
  readonly rotaryFactors: Float32Array | undefined;
}

/** Keys of the metadata, after the architecture's name, that are read or that say nothing of what is computed. */
const commonKeys: ReadonlySet<string> = new Set([
  'block_count',
  'context_length',
  'embedding_length',
  'feed_forward_length',
  'vocab_size',
  'attention.head_count',
  'attention.head_count_kv',
  'attention.layer_norm_rms_epsilon',
  'attention.key_length',
  'attention.value_length',
  'rope.dimension_count',
  'rope.freq_base',
  'rope.scaling.type',
  'rope.scaling.factor',
  'rope.scaling.original_context_length',
  'rope.scaling.attn_factor',
  'rope.scaling.finetuned',
  'rope.scaling.yarn_ext_factor',
  'rope.scaling.yarn_attn_factor',
  'rope.scaling.yarn_beta_fast',
  'rope.scaling.yarn_beta_slow',
  'attention.causal',
  'expert_count',
  'expert_used_count',
]);

/**
 * config.json of a model file's metadata, as transformers' config classes have it, and the keys of the metadata that
 * were not followed.
 *
 * @throws LowrankError `gguf.metadata`, `gguf.architecture` for a model that computes otherwise than the family's
 */
export function baseConfig(
  { modelType, architecture }: ReadableFamily,
  facts: ModelFacts,
): {
  readonly config: Json;
  readonly unknown: readonly string[];
} {
  const { metadata, tensors } = facts;
  const { architecture: prefix, base } = architecture;
  const key = (name: string): string => `${prefix}.${name}`;
  const experts = metadata.optionalNumber(key('expert_count')) ?? 0;
  if (experts > 0) throw otherModel(metadata, `${experts} experts in each block`);
  const heads = metadata.size(key('attention.head_count'));
  const hiddenSize = metadata.size(key('embedding_length'));
  const headSize = metadata.size(key('attention.key_length'), hiddenSize / heads);
  for (const name of ['rope.dimension_count', 'attention.value_length'])
    if (metadata.size(key(name), headSize) !== headSize)
      throw otherModel(metadata, `${key(name)} ${metadata.number(key(name))} beside heads of ${headSize}`);
  const [rows] = tensors.get('token_embd.weight')?.shape ?? [];
  const common: Record<string, unknown> = {
    model_type: modelType,
    ...(base === undefined ? {} : { architectures: [base.className] }),
    vocab_size: rows ?? metadata.size(key('vocab_size')),
    hidden_size: hiddenSize,
    intermediate_size: metadata.size(key('feed_forward_length')),
    num_hidden_layers: metadata.size(key('block_count')),
    num_attention_heads: heads,
    num_key_value_heads: metadata.size(key('attention.head_count_kv'), heads),
    head_dim: headSize,
    max_position_embeddings: metadata.size(key('context_length')),
    rms_norm_eps: metadata.number(key('attention.layer_norm_rms_epsilon')),
    tie_word_embeddings: !tensors.has('output.weight'),
    ...tokenIds(metadata),
    ...biases(tensors, base?.biases),
    ...rotary(facts, { prefix, headSize, defaultTheta: base?.rotaryTheta ?? 10_000 }),
  };
  for (const [name, configKey] of Object.entries(architecture.model?.factors ?? {}))
    common[configKey] = metadata.number(key(name), 1);
  const own = base?.config?.({
    number: (name, fallback) => metadata.number(key(name), fallback),
    optional: (name) => metadata.optionalNumber(key(name)),
    config: common,
  });
  const known = new Set([...commonKeys, ...Object.keys(architecture.model?.factors ?? {}), ...(base?.keys ?? [])]);
  const unknown = [...metadata.keys()].filter(
    (each) => each.startsWith(`${prefix}.`) && !known.has(each.slice(prefix.length + 1)),
  );
  return { config: { ...common, ...own }, unknown };
}

function tokenIds(metadata: Metadata): Json {
  const names = { bos: 'bos', eos: 'eos', padding: 'pad' };
  return Object.fromEntries(
    Object.entries(names).flatMap(([gguf, name]) => {
      const id = metadata.optionalNumber(`tokenizer.ggml.${gguf}_token_id`);
      return id === undefined ? [] : [[`${name}_token_id`, id]];
    }),
  );
}

/** Keys of biases, where the file has some. */
function biases(tensors: ReadonlyMap<string, ReadTensor>, keys: Readonly<Record<string, string>> = {}): Json {
  return Object.fromEntries(Object.entries(keys).map(([key, tensor]) => [key, tensors.has(`blk.0.${tensor}.bias`)]));
}

interface RotaryPlace {
  readonly prefix: string;
  readonly headSize: number;
  readonly defaultTheta: number;
}

/** θ and the scaling of positions; Llama 3's stretching is recognized by the factors that the file holds. */
function rotary({ metadata, rotaryFactors }: ModelFacts, { prefix, headSize, defaultTheta }: RotaryPlace): Json {
  const key = (name: string): string => `${prefix}.rope.${name}`;
  const theta = metadata.number(key('freq_base'), defaultTheta);
  const type = metadata.optionalText(key('scaling.type')) ?? 'none';
  const factor = metadata.optionalNumber(key('scaling.factor')) ?? 0;
  if (rotaryFactors !== undefined) {
    const stretched = Math.max(...rotaryFactors);
    for (const context of [8192, 4096, 16_384, 32_768]) {
      const expected = llama3Factors({ theta, headSize, factor: stretched, low: 1, high: 4, context });
      if (expected.length !== rotaryFactors.length || !expected.every((value, at) => near(value, rotaryFactors[at])))
        continue;
      const scaling = {
        rope_type: 'llama3',
        factor: stretched,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: context,
      };
      return { rope_theta: theta, rope_scaling: scaling };
    }
    throw otherModel(metadata, "factors of rotary frequencies that are not Llama 3's");
  }
  if (type === 'none' || factor === 0 || (type === 'linear' && factor === 1)) return { rope_theta: theta };
  if (type === 'linear') return { rope_theta: theta, rope_scaling: { rope_type: 'linear', factor } };
  if (type !== 'yarn') throw otherModel(metadata, `${key('scaling.type')} ${type}`);
  const optional = {
    attention_factor: metadata.optionalNumber(key('scaling.yarn_attn_factor')),
    beta_fast: metadata.optionalNumber(key('scaling.yarn_beta_fast')),
    beta_slow: metadata.optionalNumber(key('scaling.yarn_beta_slow')),
  };
  return {
    rope_theta: theta,
    rope_scaling: {
      rope_type: 'yarn',
      factor,
      original_max_position_embeddings: metadata.size(key('scaling.original_context_length')),
      ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)),
    },
  };
}

const near = (a: number, b: number | undefined): boolean => Math.abs(a - (b ?? NaN)) <= 1e-5 * Math.abs(a);

/** Refuses a model that has the family's name and computes something else. */
function otherModel({ file }: Metadata, got: string): LowrankError {
  return new LowrankError({
    code: 'gguf.architecture',
    what: file,
    expected: "a model that computes as the family's models in transformers do",
    got,
    remedy: "Use the model's folder of Hugging Face, or another model.",
  });
}
