import { persistent } from '@lowrank/tensor';
import { describe, expect, test } from 'vitest';
import type { CausalModel } from './causalModel.js';
import { ConfigReader } from './config.js';
import { familyOf } from './registry.js';
import { weightSource } from './weights.js';

/** The model of a config, and how many numbers it has. Nothing is loaded: tensors that nobody uses cost nothing. */
function build(json: Readonly<Record<string, unknown>>): { model: CausalModel; parameters: number } {
  let parameters = 0;
  const tensor = ({ shape }: { shape: readonly number[] }): ReturnType<typeof persistent> => {
    parameters += shape.reduce((a, b) => a * b, 1);
    return persistent(shape);
  };
  const reader = new ConfigReader(json, 'config.json');
  const model = familyOf(reader).build(reader, weightSource({ tensor }));
  return { model, parameters };
}

const zeros = (length: number): number[] => Array.from({ length }, () => 0);

const common = { initializer_range: 0.02, torch_dtype: 'bfloat16', transformers_version: '4.51.0', use_cache: true };

/**
 * As published (keys that say nothing about the model left out), with the count of parameters that transformers makes
 * of each.
 */
const published: Readonly<
  Record<
    string,
    { config: Readonly<Record<string, unknown>>; parameters: number; facts: Readonly<Record<string, unknown>> }
  >
> = {
  'Llama-3.2-1B': {
    config: {
      model_type: 'llama',
      attention_bias: false,
      attention_dropout: 0,
      bos_token_id: 128_000,
      eos_token_id: 128_001,
      head_dim: 64,
      hidden_act: 'silu',
      hidden_size: 2048,
      intermediate_size: 8192,
      max_position_embeddings: 131_072,
      mlp_bias: false,
      num_attention_heads: 32,
      num_hidden_layers: 16,
      num_key_value_heads: 8,
      pretraining_tp: 1,
      rms_norm_eps: 1e-5,
      rope_scaling: {
        factor: 32,
        high_freq_factor: 4,
        low_freq_factor: 1,
        original_max_position_embeddings: 8192,
        rope_type: 'llama3',
      },
      rope_theta: 500_000,
      tie_word_embeddings: true,
      vocab_size: 128_256,
    },
    parameters: 1_235_814_400,
    facts: {
      headSize: 64,
      keyHeads: 8,
      tied: true,
      maxPositions: 131_072,
      rotary: { theta: 500_000, scaling: { type: 'llama3', factor: 32 } },
    },
  },
  'SmolLM2-135M': {
    config: {
      model_type: 'llama',
      attention_bias: false,
      bos_token_id: 0,
      eos_token_id: 0,
      hidden_act: 'silu',
      hidden_size: 576,
      intermediate_size: 1536,
      is_llama_config: true,
      max_position_embeddings: 8192,
      mlp_bias: false,
      num_attention_heads: 9,
      num_hidden_layers: 30,
      num_key_value_heads: 3,
      pretraining_tp: 1,
      rms_norm_eps: 1e-5,
      rope_interleaved: false,
      rope_scaling: null,
      rope_theta: 100_000,
      tie_word_embeddings: true,
      vocab_size: 49_152,
    },
    parameters: 134_515_008,
    facts: {
      headSize: 64,
      keyHeads: 3,
      tied: true,
      maxPositions: 8192,
      bosId: 0,
      eosIds: [0],
      rotary: { theta: 100_000 },
    },
  },
  'Mistral-7B-v0.1': {
    config: {
      model_type: 'mistral',
      bos_token_id: 1,
      eos_token_id: 2,
      hidden_act: 'silu',
      hidden_size: 4096,
      intermediate_size: 14_336,
      max_position_embeddings: 32_768,
      num_attention_heads: 32,
      num_hidden_layers: 32,
      num_key_value_heads: 8,
      rms_norm_eps: 1e-5,
      rope_theta: 10_000,
      sliding_window: 4096,
      tie_word_embeddings: false,
      vocab_size: 32_000,
    },
    parameters: 7_241_732_096,
    facts: { headSize: 128, tied: false, maxPositions: 32_768, window: 4096, rotary: { theta: 10_000 } },
  },
  'Mistral-7B-v0.3': {
    config: {
      model_type: 'mistral',
      bos_token_id: 1,
      eos_token_id: 2,
      hidden_act: 'silu',
      hidden_size: 4096,
      intermediate_size: 14_336,
      max_position_embeddings: 32_768,
      num_attention_heads: 32,
      num_hidden_layers: 32,
      num_key_value_heads: 8,
      rms_norm_eps: 1e-5,
      rope_theta: 1_000_000,
      sliding_window: null,
      tie_word_embeddings: false,
      vocab_size: 32_768,
      attention_dropout: 0,
    },
    parameters: 7_248_023_552,
    facts: { window: 0, rotary: { theta: 1_000_000 } },
  },
  'Qwen2.5-0.5B': {
    config: {
      model_type: 'qwen2',
      attention_dropout: 0,
      bos_token_id: 151_643,
      eos_token_id: 151_643,
      hidden_act: 'silu',
      hidden_size: 896,
      intermediate_size: 4864,
      max_position_embeddings: 32_768,
      max_window_layers: 24,
      num_attention_heads: 14,
      num_hidden_layers: 24,
      num_key_value_heads: 2,
      rms_norm_eps: 1e-6,
      rope_theta: 1_000_000,
      sliding_window: 32_768,
      tie_word_embeddings: true,
      use_mrope: false,
      use_sliding_window: false,
      vocab_size: 151_936,
    },
    parameters: 494_032_768,
    facts: { headSize: 64, keyHeads: 2, tied: true, windows: zeros(24), rotary: { theta: 1_000_000 } },
  },
  'Qwen3-0.6B': {
    config: {
      model_type: 'qwen3',
      attention_bias: false,
      attention_dropout: 0,
      bos_token_id: 151_643,
      eos_token_id: 151_645,
      head_dim: 128,
      hidden_act: 'silu',
      hidden_size: 1024,
      intermediate_size: 3072,
      max_position_embeddings: 40_960,
      max_window_layers: 28,
      num_attention_heads: 16,
      num_hidden_layers: 28,
      num_key_value_heads: 8,
      rms_norm_eps: 1e-6,
      rope_scaling: null,
      rope_theta: 1_000_000,
      sliding_window: null,
      tie_word_embeddings: true,
      use_sliding_window: false,
      vocab_size: 151_936,
    },
    parameters: 596_049_920,
    facts: { headSize: 128, attentionBias: false, windows: zeros(28), maxPositions: 40_960 },
  },
  'gemma-2b': {
    config: {
      model_type: 'gemma',
      attention_bias: false,
      attention_dropout: 0,
      bos_token_id: 2,
      eos_token_id: 1,
      head_dim: 256,
      hidden_act: 'gelu',
      hidden_activation: null,
      hidden_size: 2048,
      intermediate_size: 16_384,
      max_position_embeddings: 8192,
      num_attention_heads: 8,
      num_hidden_layers: 18,
      num_key_value_heads: 1,
      pad_token_id: 0,
      rms_norm_eps: 1e-6,
      rope_scaling: null,
      rope_theta: 10_000,
      vocab_size: 256_000,
    },
    parameters: 2_506_172_416,
    facts: { headSize: 256, keyHeads: 1, tied: true, rotary: { theta: 10_000 } },
  },
  'gemma-2-2b': {
    config: {
      model_type: 'gemma2',
      attention_bias: false,
      attention_dropout: 0,
      attn_logit_softcapping: 50,
      bos_token_id: 2,
      cache_implementation: 'hybrid',
      eos_token_id: 1,
      final_logit_softcapping: 30,
      head_dim: 256,
      hidden_act: 'gelu_pytorch_tanh',
      hidden_activation: 'gelu_pytorch_tanh',
      hidden_size: 2304,
      intermediate_size: 9216,
      max_position_embeddings: 8192,
      num_attention_heads: 8,
      num_hidden_layers: 26,
      num_key_value_heads: 4,
      pad_token_id: 0,
      query_pre_attn_scalar: 256,
      rms_norm_eps: 1e-6,
      rope_theta: 10_000,
      sliding_window: 4096,
      vocab_size: 256_000,
    },
    parameters: 2_614_341_888,
    facts: {
      scale: 1 / 16,
      scoreSoftcap: 50,
      logitSoftcap: 30,
      tied: true,
      windows: Array.from({ length: 26 }, (_, at) => (at % 2 === 0 ? 4096 : 0)),
    },
  },
  'gemma-3-1b-it': {
    config: {
      model_type: 'gemma3_text',
      attention_bias: false,
      attention_dropout: 0,
      attn_logit_softcapping: null,
      bos_token_id: 2,
      cache_implementation: 'hybrid',
      eos_token_id: [1, 106],
      final_logit_softcapping: null,
      head_dim: 256,
      hidden_activation: 'gelu_pytorch_tanh',
      hidden_size: 1152,
      intermediate_size: 6912,
      max_position_embeddings: 32_768,
      num_attention_heads: 4,
      num_hidden_layers: 26,
      num_key_value_heads: 1,
      pad_token_id: 0,
      query_pre_attn_scalar: 256,
      rms_norm_eps: 1e-6,
      rope_local_base_freq: 10_000,
      rope_scaling: null,
      rope_theta: 1_000_000,
      sliding_window: 512,
      sliding_window_pattern: 6,
      vocab_size: 262_144,
    },
    parameters: 999_885_952,
    facts: {
      scale: 1 / 16,
      scoreSoftcap: 0,
      logitSoftcap: 0,
      eosIds: [1, 106],
      windows: Array.from({ length: 26 }, (_, at) => (at % 6 === 5 ? 0 : 512)),
      rotary: { full: { theta: 1_000_000 }, sliding: { theta: 10_000 } },
    },
  },
  'Phi-3-mini-4k-instruct': {
    config: {
      model_type: 'phi3',
      attention_bias: false,
      attention_dropout: 0,
      bos_token_id: 1,
      embd_pdrop: 0,
      eos_token_id: 32_000,
      hidden_act: 'silu',
      hidden_size: 3072,
      intermediate_size: 8192,
      max_position_embeddings: 4096,
      num_attention_heads: 32,
      num_hidden_layers: 32,
      num_key_value_heads: 32,
      original_max_position_embeddings: 4096,
      pad_token_id: 32_000,
      resid_pdrop: 0,
      rms_norm_eps: 1e-5,
      rope_scaling: null,
      rope_theta: 10_000,
      sliding_window: 2047,
      tie_word_embeddings: false,
      vocab_size: 32_064,
    },
    parameters: 3_821_079_552,
    facts: { headSize: 96, window: 2047, maxPositions: 4096, rotary: { size: 96, theta: 10_000 } },
  },
  'Phi-3-mini-128k-instruct': {
    config: {
      model_type: 'phi3',
      attention_bias: false,
      attention_dropout: 0,
      bos_token_id: 1,
      embd_pdrop: 0,
      eos_token_id: 32_000,
      hidden_act: 'silu',
      hidden_size: 3072,
      intermediate_size: 8192,
      max_position_embeddings: 131_072,
      num_attention_heads: 32,
      num_hidden_layers: 32,
      num_key_value_heads: 32,
      original_max_position_embeddings: 4096,
      pad_token_id: 32_000,
      resid_pdrop: 0,
      rms_norm_eps: 1e-5,
      rope_scaling: {
        long_factor: Array.from({ length: 48 }, () => 1.5),
        short_factor: Array.from({ length: 48 }, () => 1.05),
        type: 'longrope',
      },
      rope_theta: 10_000,
      sliding_window: 262_144,
      tie_word_embeddings: false,
      vocab_size: 32_064,
    },
    parameters: 3_821_079_552,
    facts: {
      maxPositions: 131_072,
      rotary: {
        size: 96,
        scaling: {
          type: 'longrope',
          originalMaxPositions: 4096,
          attentionFactor: Math.sqrt(1 + Math.log(32) / Math.log(4096)),
        },
      },
    },
  },
  'Phi-4-mini-instruct': {
    config: {
      model_type: 'phi3',
      attention_bias: false,
      attention_dropout: 0,
      bos_token_id: 199_999,
      embd_pdrop: 0,
      eos_token_id: 199_999,
      full_attn_mod: 1,
      hidden_act: 'silu',
      hidden_size: 3072,
      interpolate_factor: 1,
      intermediate_size: 8192,
      lm_head_bias: false,
      max_position_embeddings: 131_072,
      mlp_bias: false,
      num_attention_heads: 24,
      num_hidden_layers: 32,
      num_key_value_heads: 8,
      original_max_position_embeddings: 4096,
      pad_token_id: 199_999,
      partial_rotary_factor: 0.75,
      resid_pdrop: 0,
      rms_norm_eps: 1e-5,
      rope_scaling: {
        long_factor: Array.from({ length: 48 }, () => 1.5),
        short_factor: Array.from({ length: 48 }, () => 1),
        type: 'longrope',
      },
      rope_theta: 10_000,
      sliding_window: 262_144,
      tie_word_embeddings: true,
      vocab_size: 200_064,
    },
    parameters: 3_836_021_760,
    facts: { headSize: 128, keyHeads: 8, tied: true, rotary: { size: 96, scaling: { type: 'longrope' } } },
  },
  'SmolLM3-3B': {
    config: {
      model_type: 'smollm3',
      attention_bias: false,
      attention_dropout: 0,
      bos_token_id: null,
      eos_token_id: 128_012,
      hidden_act: 'silu',
      hidden_size: 2048,
      intermediate_size: 11_008,
      layer_types: Array.from({ length: 36 }, () => 'full_attention'),
      max_position_embeddings: 65_536,
      max_window_layers: 28,
      mlp_bias: false,
      no_rope_layer_interval: 4,
      no_rope_layers: Array.from({ length: 36 }, (_, at) => Number((at + 1) % 4 !== 0)),
      num_attention_heads: 16,
      num_hidden_layers: 36,
      num_key_value_heads: 4,
      pad_token_id: 128_012,
      pretraining_tp: 2,
      rms_norm_eps: 1e-6,
      rope_scaling: null,
      rope_theta: 5_000_000,
      sliding_window: null,
      use_sliding_window: false,
      vocab_size: 128_256,
    },
    parameters: 3_075_098_624,
    facts: {
      tied: true,
      bosId: undefined,
      maxPositions: 65_536,
      windows: zeros(36),
      rotates: Array.from({ length: 36 }, (_, at) => at % 4 !== 3),
      rotary: { theta: 5_000_000 },
    },
  },
  'OLMo-2-0425-1B': {
    config: {
      model_type: 'olmo2',
      attention_bias: false,
      attention_dropout: 0,
      eos_token_id: 100_257,
      hidden_act: 'silu',
      hidden_size: 2048,
      intermediate_size: 8192,
      max_position_embeddings: 4096,
      num_attention_heads: 16,
      num_hidden_layers: 16,
      num_key_value_heads: 16,
      pad_token_id: 100_277,
      rms_norm_eps: 1e-6,
      rope_scaling: null,
      rope_theta: 500_000,
      tie_word_embeddings: false,
      vocab_size: 100_352,
    },
    parameters: 1_484_916_736,
    facts: { headSize: 128, tied: false, maxPositions: 4096, eosIds: [100_257], rotary: { theta: 500_000 } },
  },
  'Olmo-3-1025-7B': {
    config: {
      model_type: 'olmo3',
      attention_bias: false,
      attention_dropout: 0,
      eos_token_id: 100_257,
      hidden_act: 'silu',
      hidden_size: 4096,
      intermediate_size: 11_008,
      layer_types: Array.from({ length: 32 }, (_, at) => (at % 4 === 3 ? 'full_attention' : 'sliding_attention')),
      max_position_embeddings: 65_536,
      num_attention_heads: 32,
      num_hidden_layers: 32,
      num_key_value_heads: 32,
      pad_token_id: 100_277,
      rms_norm_eps: 1e-6,
      rope_scaling: {
        attention_factor: 1.2079441541679836,
        beta_fast: 32,
        beta_slow: 1,
        factor: 8,
        original_max_position_embeddings: 8192,
        rope_type: 'yarn',
      },
      rope_theta: 500_000,
      sliding_window: 4096,
      tie_word_embeddings: false,
      vocab_size: 100_278,
    },
    parameters: 7_298_011_136,
    facts: {
      windows: Array.from({ length: 32 }, (_, at) => (at % 4 === 3 ? 0 : 4096)),
      maxPositions: 65_536,
      rotary: { full: { scaling: { type: 'yarn', attentionFactor: 1.2079441541679836 } }, sliding: { theta: 500_000 } },
    },
  },
};

test.each(Object.entries(published))('%s', (_, { config, parameters, facts }) => {
  const built = build({ ...common, ...config });
  expect(built.model.shape).toMatchObject(facts);
  expect(built.parameters).toBe(parameters);
});

test('Gemma 3 of text and images: the text part, with all that its config leaves to the class', () => {
  const text = {
    model_type: 'gemma3_text',
    hidden_size: 2560,
    intermediate_size: 10_240,
    num_hidden_layers: 34,
    rope_scaling: { factor: 8, rope_type: 'linear' },
    sliding_window: 1024,
  };
  const { model, parameters } = build({
    ...common,
    model_type: 'gemma3',
    eos_token_id: [1, 106],
    text_config: text,
    vision_config: { model_type: 'siglip_vision_model' },
  });
  expect(parameters).toBe(3_880_263_168);
  expect(model.shape).toMatchObject({
    modelType: 'gemma3',
    vocabularySize: 262_208,
    maxPositions: 131_072,
    eosIds: [1, 106],
    bosId: 2,
    rotary: { full: { theta: 1_000_000, scaling: { type: 'linear', factor: 8 } }, sliding: { theta: 10_000 } },
  });
  expect(() => model.getModule('model.language_model.layers.33.self_attn.q_norm')).not.toThrow();
});

/** The same models as transformers 5 saves them. */
describe('the spelling of transformers 5', () => {
  const of = (name: string, over: Readonly<Record<string, unknown>>): unknown =>
    build({
      ...common,
      ...published[name]?.config,
      rope_theta: undefined,
      rope_scaling: undefined,
      dtype: 'bfloat16',
      ...over,
    }).model.shape;

  test('rope_parameters with theta, scaling and the share that turns', () => {
    expect(
      of('SmolLM2-135M', {
        rope_parameters: { rope_theta: 7, rope_type: 'yarn', factor: 4, original_max_position_embeddings: 2048 },
      }),
    ).toMatchObject({
      rotary: {
        theta: 7,
        scaling: {
          type: 'yarn',
          factor: 4,
          originalMaxPositions: 2048,
          attentionFactor: 0.1 * Math.log(4) + 1,
          betaFast: 32,
          betaSlow: 1,
          truncate: true,
        },
      },
    });
    expect(
      of('Phi-4-mini-instruct', {
        partial_rotary_factor: undefined,
        rope_parameters: {
          rope_theta: 10_000,
          rope_type: 'longrope',
          partial_rotary_factor: 0.5,
          short_factor: zeros(32),
          long_factor: zeros(32),
        },
      }),
    ).toMatchObject({ rotary: { size: 64 } });
  });

  test('rope_parameters and layer_types of each kind of layer', () => {
    const parameters = {
      full_attention: { rope_theta: 5, rope_type: 'linear', factor: 8 },
      sliding_attention: { rope_theta: 3, rope_type: 'default' },
    };
    const types = Array.from({ length: 26 }, (_, at) => (at < 13 ? 'sliding_attention' : 'full_attention'));
    expect(
      of('gemma-3-1b-it', {
        rope_parameters: parameters,
        rope_local_base_freq: undefined,
        sliding_window_pattern: undefined,
        layer_types: types,
      }),
    ).toMatchObject({
      windows: types.map((type) => (type === 'full_attention' ? 0 : 512)),
      rotary: { full: { theta: 5, scaling: { type: 'linear', factor: 8 } }, sliding: { theta: 3 } },
    });
  });

  test('a window that is on for the upper layers', () => {
    expect(of('Qwen2.5-0.5B', { use_sliding_window: true, max_window_layers: 20 })).toMatchObject({
      windows: Array.from({ length: 24 }, (_, at) => (at < 20 ? 0 : 32_768)),
    });
  });
});

test.each<[string, Record<string, unknown>]>([
  ['llama', { keyHeads: 32, headSize: 2, normEpsilon: 1e-6, tied: false, maxPositions: 2048, bosId: 1, eosIds: [2] }],
  ['mistral', { keyHeads: 8, window: 4096, maxPositions: 131_072, bosId: 1, eosIds: [2] }],
  ['qwen2', { keyHeads: 32, tied: false, windows: [0, 0], maxPositions: 32_768, bosId: undefined, eosIds: [] }],
  ['qwen3', { headSize: 128, attentionBias: false, windows: [0, 0] }],
  ['gemma', { keyHeads: 16, headSize: 256, tied: true, bosId: 2, eosIds: [1] }],
  ['gemma2', { keyHeads: 4, headSize: 256, scale: 1 / 16, scoreSoftcap: 50, logitSoftcap: 30, windows: [4096, 0] }],
  [
    'gemma3_text',
    { keyHeads: 4, windows: [4096, 4096], rotary: { full: { theta: 1_000_000 }, sliding: { theta: 10_000 } } },
  ],
  ['phi3', { keyHeads: 32, window: 0, normEpsilon: 1e-5, maxPositions: 4096, eosIds: [32_000] }],
  ['smollm3', { keyHeads: 4, tied: true, rotates: [true, true], rotary: { theta: 2_000_000 }, eosIds: [128_001] }],
  ['olmo2', { keyHeads: 32, normEpsilon: 1e-5, eosIds: [50_279] }],
])('%s: what is left out is what the config class in transformers has', (model_type, facts) => {
  expect(
    build({
      model_type,
      vocab_size: 10,
      hidden_size: 64,
      intermediate_size: 8,
      num_hidden_layers: 2,
      num_attention_heads: 32,
    }).model.shape,
  ).toMatchObject(facts);
});

/** Features that the code does not have are refused, by name. */
test.each<[string, Record<string, unknown>, RegExp]>([
  ['Mistral-7B-v0.1', { hidden_act: 'gelu' }, /hidden_act.*"silu", got "gelu"/],
  [
    'Qwen2.5-0.5B',
    { layer_types: Array.from({ length: 24 }, () => 'sliding_attention') },
    /layer_types.*without a sliding window/,
  ],
  ['Qwen2.5-0.5B', { layer_types: ['full_attention'] }, /layer_types.*24 of them/],
  [
    'Qwen3-0.6B',
    { layer_types: Array.from({ length: 28 }, () => 'chunked_attention') },
    /layer_types.*"full_attention" and "sliding_attention"/,
  ],
  ['Qwen3-0.6B', { rope_scaling: { type: 'mrope', mrope_section: [1] } }, /type in rope_scaling.*"yarn", got "mrope"/],
  ['Qwen2.5-0.5B', { partial_rotary_factor: 0.5 }, /partial_rotary_factor/],
  ['gemma-2b', { hidden_act: 'relu' }, /hidden_act.*"gelu_pytorch_tanh", got "relu"/],
  ['gemma-2b', { hidden_activation: 'silu' }, /hidden_activation/],
  ['gemma-2-2b', { use_bidirectional_attention: true }, /use_bidirectional_attention/],
  ['gemma-3-1b-it', { use_bidirectional_attention: true }, /use_bidirectional_attention/],
  ['gemma-3-1b-it', { rope_parameters: { rope_type: 'default', rope_theta: 1 } }, /rope_parameters.*"full_attention"/],
  ['Phi-3-mini-128k-instruct', { rope_scaling: { type: 'linear', factor: 2 } }, /type in rope_scaling.*"longrope"/],
  [
    'Phi-3-mini-128k-instruct',
    { rope_scaling: { type: 'longrope', short_factor: [1], long_factor: [1] } },
    /short_factor.*48 numbers.*got 1/,
  ],
  ['Phi-4-mini-instruct', { lm_head_bias: true }, /lm_head_bias/],
  ['Phi-4-mini-instruct', { partial_rotary_factor: 1.5 }, /partial_rotary_factor.*at most 1/],
  ['SmolLM3-3B', { no_rope_layers: [1, 0] }, /no_rope_layers.*36/],
  ['OLMo-2-0425-1B', { hidden_act: 'gelu' }, /hidden_act/],
])('%s with %j', (name, over, message) => {
  expect(() => build({ ...common, ...published[name]?.config, ...over })).toThrow(message);
});
