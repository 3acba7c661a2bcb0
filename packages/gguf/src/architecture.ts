import { LowrankError } from '@lowrank/errors';
import type { GgufMetadata, GgufValue } from './format.js';
import type { Json } from './json.js';
import { objectOf, refuse } from './json.js';

/**
 * What llama.cpp calls a family of models and its tensors, as its converters write them (gguf-py's `constants.py` and
 * `tensor_mapping.py`): a family of @lowrank/models states it as `llamaCpp`.
 */
export interface GgufArchitecture {
  /** `general.architecture`, which the keys of its metadata begin with. */
  readonly architecture: string;
  /** The tensor of each module, by its path; `{i}` stands for the number of a layer. */
  readonly tensors: Readonly<Record<string, string>>;
  /**
   * It turns neighbouring elements of a head by position where transformers turns the two halves, so the rows of query
   * and key projections change places.
   */
  readonly interleavedHeads?: boolean;
  /** Its models have no output projection of their own: they use the embedding's table. */
  readonly tiesOutput?: boolean;
  /** Whole models can be written, not adapters alone. */
  readonly model?: {
    /** What the config means where it leaves out `max_position_embeddings`. */
    readonly maxPositions: number;
    /**
     * Factors among its metadata, by what follows the architecture's name in the key: keys of config.json, 1 if absent.
     */
    readonly factors?: Readonly<Record<string, string>>;
  };
  /** Model files are read, not written alone. */
  readonly base?: GgufBase;
}

/** What reading a model file takes to know beside what most families share. */
export interface GgufBase {
  /** Its class in transformers, for `architectures` of config.json. */
  readonly className: string;
  /** θ of the rotary embedding where the file does not say; 10,000 by default. */
  readonly rotaryTheta?: number;
  /** Norms are stored as 1 + w where the model has w. */
  readonly normOffset?: 1;
  /** Keys of config.json that are true where this module of layer 0 has a bias. */
  readonly biases?: Readonly<Record<string, string>>;
  /** Keys of the metadata, after the architecture's name, that `config` reads. */
  readonly keys?: readonly string[];
  /** Further keys of config.json. */
  config?(metadata: {
    readonly number: (key: string, fallback?: number) => number;
    readonly optional: (key: string) => number | undefined;
    /** What is read so far. */
    readonly config: Json;
  }): Json;
}

/** What converting an adapter takes of the model that it is for. */
export interface ModelNames {
  readonly known: GgufArchitecture;
  /**
   * Heads whose rows change places in query and key projections; undefined where llama.cpp turns halves too.
   */
  readonly permuted: { readonly heads: number; readonly keyHeads: number } | undefined;
}

/** What a GGUF file says of a model's shape. */
export interface ModelHeader extends ModelNames {
  readonly vocabularySize: number;
  readonly metadata: GgufMetadata;
  /** The divisors of the rotary frequencies that Llama 3 stretches, one for each pair of a head. */
  readonly rotaryFactors: Float32Array | undefined;
}

/**
 * What converting an adapter for the model of a config.json takes.
 *
 * @throws LowrankError `gguf.architecture` where llama.cpp's names of the family are not known, `gguf.config`
 */
export function modelNames(known: GgufArchitecture | undefined, config: Json): ModelNames {
  if (known === undefined)
    throw new LowrankError({
      code: 'gguf.architecture',
      what: 'model_type in config.json',
      expected: 'a family whose names in llama.cpp Lowrank knows',
      got: String(config['model_type']),
      remedy: "Merge the adapter (`lowrank merge`), and convert the folder with llama.cpp's convert_hf_to_gguf.py.",
    });
  if (known.interleavedHeads !== true) return { known, permuted: undefined };
  const heads = positive(config, 'num_attention_heads');
  return { known, permuted: { heads, keyHeads: positive(config, 'num_key_value_heads', heads) } };
}

function positive(config: Json, key: string, fallback?: number): number {
  const value = config[key] ?? fallback;
  return typeof value === 'number' && value > 0 ? value : refuse(key, 'a number above 0', value);
}

/**
 * The header of a model's file from its config.json, where transformers' defaults of Llama hold for what it leaves out.
 *
 * @throws LowrankError `gguf.architecture` where whole models of the family cannot be written, `gguf.config`
 */
export function modelHeader(known: GgufArchitecture | undefined, config: Json): ModelHeader {
  if (known?.model === undefined)
    throw new LowrankError({
      code: 'gguf.architecture',
      what: 'model_type in config.json',
      expected: 'a family whose whole models Lowrank writes for llama.cpp, such as llama',
      got: String(config['model_type']),
      remedy:
        "Other architectures: merge the adapter (`lowrank merge`), and convert the folder with llama.cpp's " +
        'convert_hf_to_gguf.py.',
    });
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
  const factors = Object.entries(known.model.factors ?? {});
  const entries: (readonly [string, GgufValue])[] = [
    ['block_count', u32(number('num_hidden_layers'))],
    ['context_length', u32(number('max_position_embeddings', known.model.maxPositions))],
    ['embedding_length', u32(hiddenSize)],
    ['feed_forward_length', u32(number('intermediate_size'))],
    ['attention.head_count', u32(heads)],
    ['attention.head_count_kv', u32(keyHeads)],
    ...rotary.metadata,
    ['attention.layer_norm_rms_epsilon', f32(number('rms_norm_eps', 1e-6))],
    ['attention.key_length', u32(headSize)],
    ['attention.value_length', u32(headSize)],
    ['vocab_size', u32(vocabularySize)],
    ['rope.dimension_count', u32(headSize)],
    ...factors.map(([key, configKey]) => [key, f32(number(configKey, 1))] as const),
  ];
  return {
    ...modelNames(known, config),
    vocabularySize,
    metadata: new Map(entries.map(([key, value]) => [`${known.architecture}.${key}`, value])),
    rotaryFactors: rotary.factors,
  };
}

interface Rotary {
  readonly metadata: readonly (readonly [string, GgufValue])[];
  readonly factors: Float32Array | undefined;
}

/**
 * Both spellings: `rope_theta` with `rope_scaling` (transformers 4), and `rope_parameters` with both (transformers
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
  const base = ['rope.freq_base', { type: 'f32', value: theta }] as const;
  if (type === 'default') return { metadata: [base], factors: undefined };
  const factor = numberOf('rope factor', scaling['factor'], type === 'llama3' ? 8 : undefined);
  if (type === 'linear') {
    return {
      metadata: [
        ['rope.scaling.type', { type: 'string', value: 'linear' }],
        ['rope.scaling.factor', { type: 'f32', value: factor }],
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
  if (typeof context !== 'number') return refuse('original_max_position_embeddings', 'a number with "yarn"', context);
  const optional = {
    yarn_ext_factor: scaling['extrapolation_factor'],
    yarn_attn_factor: scaling['attention_factor'] ?? scaling['attn_factor'],
    yarn_beta_fast: scaling['beta_fast'],
    yarn_beta_slow: scaling['beta_slow'],
  };
  return [
    ['rope.scaling.type', { type: 'string', value: 'yarn' }],
    ['rope.scaling.factor', { type: 'f32', value: factor }],
    ['rope.scaling.original_context_length', { type: 'u32', value: context }],
    ...Object.entries(optional).flatMap(([key, value]) =>
      typeof value === 'number' ? [[`rope.scaling.${key}`, { type: 'f32', value }] as const] : [],
    ),
  ];
}

/**
 * By what each frequency is divided: 1 for short waves, `factor` for long ones, between them smoothly; in f32, step by
 * step, as PyTorch computes it.
 */
export function llama3Factors({
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
