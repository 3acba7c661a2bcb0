import { LowrankError } from '@lowrank/errors';
import type { GgufMetadata, GgufValue } from './format.js';
import type { Json } from './json.js';
import { objectOf, refuse } from './json.js';

/** What an adapter has to know of the model that it is for. */
export interface Family {
  /** llama.cpp's name. */
  readonly name: string;
  /**
   * Heads whose rows have to change places in query and key projections; undefined where llama.cpp rotates halves too.
   */
  readonly permuted: { readonly heads: number; readonly keyHeads: number } | undefined;
}

/** What a GGUF file says of a model's shape. */
export interface Architecture extends Family {
  readonly vocabularySize: number;
  readonly metadata: GgufMetadata;
  /** The divisors of the rotary frequencies that Llama 3 stretches, one for each pair of a head. */
  readonly rotaryFactors: Float32Array | undefined;
}

/** Types of models that llama.cpp runs as its `llama`. */
const llamas = ['llama', 'mistral'];

/** llama.cpp's names of the families whose adapters can be written, and whether it rotates neighbours in them. */
const families: Readonly<Record<string, { readonly name: string; readonly neighbours: boolean }>> = {
  llama: { name: 'llama', neighbours: true },
  mistral: { name: 'llama', neighbours: true },
  smollm3: { name: 'smollm3', neighbours: true },
  qwen2: { name: 'qwen2', neighbours: false },
  qwen3: { name: 'qwen3', neighbours: false },
  gemma: { name: 'gemma', neighbours: false },
  gemma2: { name: 'gemma2', neighbours: false },
  gemma3_text: { name: 'gemma3', neighbours: false },
  phi3: { name: 'phi3', neighbours: false },
  olmo2: { name: 'olmo2', neighbours: false },
};

/**
 * The family of a config.json, for adapters.
 *
 * @throws LowrankError `gguf.architecture`, `gguf.config`
 */
export function familyOf(config: Json): Family {
  const type = String(config['model_type']);
  const family = Object.hasOwn(families, type) ? families[type] : undefined;
  if (family === undefined) {
    throw new LowrankError({
      code: 'gguf.architecture',
      what: 'model_type in config.json',
      expected: Object.keys(families).join(', '),
      got: type,
      remedy: "Merge the adapter (`lowrank merge`), and convert the folder with llama.cpp's convert_hf_to_gguf.py.",
    });
  }
  const heads = positive(config, 'num_attention_heads');
  return {
    name: family.name,
    permuted: family.neighbours ? { heads, keyHeads: positive(config, 'num_key_value_heads', heads) } : undefined,
  };
}

function positive(config: Json, key: string, fallback?: number): number {
  const value = config[key] ?? fallback;
  return typeof value === 'number' && value > 0 ? value : refuse(key, 'a number above 0', value);
}

/**
 * The `llama` of llama.cpp from a config.json of transformers, whose defaults hold for what it leaves out.
 *
 * @throws LowrankError `gguf.architecture`, `gguf.config`
 */
export function architectureOf(config: Json): Architecture {
  const type = config['model_type'];
  if (typeof type !== 'string' || !llamas.includes(type)) {
    throw new LowrankError({
      code: 'gguf.architecture',
      what: 'model_type in config.json',
      expected: llamas.join(' or '),
      got: String(type),
      remedy:
        "Other architectures: merge the adapter (`lowrank merge`), and convert the folder with llama.cpp's " +
        'convert_hf_to_gguf.py.',
    });
  }
  if ((config['sliding_window'] ?? null) !== null) refuse('sliding_window', 'none', config['sliding_window']);
  if ((config['quantization_config'] ?? null) !== null)
    refuse('quantization_config', 'none: merge into 16 bits first', config['quantization_config']);
  const number = (key: string, fallback?: number): number => positive(config, key, fallback);
  const hiddenSize = number('hidden_size');
  const heads = number('num_attention_heads');
  const keyHeads = number('num_key_value_heads', heads);
  const headSize = number('head_dim', hiddenSize / heads);
  const vocabularySize = number('vocab_size', 32_000);
  const rotary = rotaryOf(config, headSize);
  const u32 = (value: number): GgufValue => ({ type: 'u32', value });
  const f32 = (value: number): GgufValue => ({ type: 'f32', value });
  const metadata = new Map<string, GgufValue>([
    ['llama.block_count', u32(number('num_hidden_layers'))],
    ['llama.context_length', u32(number('max_position_embeddings', type === 'llama' ? 2048 : 131_072))],
    ['llama.embedding_length', u32(hiddenSize)],
    ['llama.feed_forward_length', u32(number('intermediate_size'))],
    ['llama.attention.head_count', u32(heads)],
    ['llama.attention.head_count_kv', u32(keyHeads)],
    ...rotary.metadata,
    ['llama.attention.layer_norm_rms_epsilon', f32(number('rms_norm_eps', 1e-6))],
    ['llama.attention.key_length', u32(headSize)],
    ['llama.attention.value_length', u32(headSize)],
    ['llama.vocab_size', u32(vocabularySize)],
    ['llama.rope.dimension_count', u32(headSize)],
  ]);
  return { name: 'llama', permuted: { heads, keyHeads }, vocabularySize, metadata, rotaryFactors: rotary.factors };
}

interface Rotary {
  readonly metadata: readonly (readonly [string, GgufValue])[];
  readonly factors: Float32Array | undefined;
}

/**
 * Both spellings: `rope_theta` beside `rope_scaling` (transformers 4), and `rope_parameters` with both (transformers
 * 5).
 */
function rotaryOf(config: Json, headSize: number): Rotary {
  const scaling = objectOf(config['rope_parameters'] ?? config['rope_scaling']);
  const numberOf = (key: string, value: unknown, fallback?: number): number => {
    const given = value ?? fallback;
    return typeof given === 'number' && given > 0 ? given : refuse(key, 'a number above 0', given);
  };
  const theta = numberOf('rope_theta', scaling['rope_theta'] ?? config['rope_theta'], 10_000);
  const type = scaling['rope_type'] ?? scaling['type'] ?? 'default';
  const base = ['llama.rope.freq_base', { type: 'f32', value: theta }] as const;
  if (type === 'default') return { metadata: [base], factors: undefined };
  const factor = numberOf('rope factor', scaling['factor'], type === 'llama3' ? 8 : undefined);
  if (type === 'linear') {
    return {
      metadata: [
        ['llama.rope.scaling.type', { type: 'string', value: 'linear' }],
        ['llama.rope.scaling.factor', { type: 'f32', value: factor }],
        base,
      ],
      factors: undefined,
    };
  }
  if (type === 'yarn') return { metadata: [...yarn({ factor, scaling, config }), base], factors: undefined };
  if (type !== 'llama3') return refuse('rope_type', '"default", "linear", "yarn" or "llama3"', type);
  const low = numberOf('low_freq_factor', scaling['low_freq_factor'], 1);
  const high = numberOf('high_freq_factor', scaling['high_freq_factor'], 4);
  const context = numberOf('original_max_position_embeddings', scaling['original_max_position_embeddings'], 8192);
  return { metadata: [base], factors: llama3Factors({ theta, headSize, factor, low, high, context }) };
}

/** YaRN's numbers, as far as the config says them; llama.cpp has the usual ones for the rest. */
function yarn({
  factor,
  scaling,
  config,
}: {
  readonly factor: number;
  readonly scaling: Json;
  readonly config: Json;
}): (readonly [string, GgufValue])[] {
  const context = scaling['original_max_position_embeddings'] ?? config['original_max_position_embeddings'];
  if (typeof context !== 'number') return refuse('original_max_position_embeddings', 'a number beside "yarn"', context);
  const optional = {
    yarn_ext_factor: scaling['extrapolation_factor'],
    yarn_attn_factor: scaling['attention_factor'] ?? scaling['attn_factor'],
    yarn_beta_fast: scaling['beta_fast'],
    yarn_beta_slow: scaling['beta_slow'],
  };
  return [
    ['llama.rope.scaling.type', { type: 'string', value: 'yarn' }],
    ['llama.rope.scaling.factor', { type: 'f32', value: factor }],
    ['llama.rope.scaling.original_context_length', { type: 'u32', value: context }],
    ...Object.entries(optional).flatMap(([key, value]) =>
      typeof value === 'number' ? [[`llama.rope.scaling.${key}`, { type: 'f32', value }] as const] : [],
    ),
  ];
}

/**
 * By what each frequency is divided: 1 for short waves, `factor` for long ones, between them smoothly; in f32, step by
 * step, as PyTorch computes it.
 */
function llama3Factors({
  theta,
  headSize,
  factor,
  low,
  high,
  context,
}: Readonly<Record<'theta' | 'headSize' | 'factor' | 'low' | 'high' | 'context', number>>): Float32Array {
  const f = Math.fround;
  return Float32Array.from({ length: headSize / 2 }, (_, pair) => {
    const frequency = f(1 / f(theta ** f((2 * pair) / headSize)));
    const wavelength = f(f(2 * Math.PI) / frequency);
    if (wavelength < context / high) return 1;
    if (wavelength > context / low) return factor;
    const smooth = f(f(f(context / wavelength) - low) / f(high - low));
    return f(1 / f(f(f(1 - smooth) / factor) + smooth));
  });
}
