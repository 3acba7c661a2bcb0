import { expect, test } from 'vitest';
import { llama3Factors } from '../architecture.js';
import { baseConfig } from './baseConfig.js';
import type { ReadTensor } from './header.js';
import type { ReadValue } from './headerCursor.js';
import { Metadata } from './metadata.js';

const values = {
  'llama.block_count': 2,
  'llama.context_length': 4096,
  'llama.embedding_length': 64,
  'llama.feed_forward_length': 128,
  'llama.attention.head_count': 4,
  'llama.attention.head_count_kv': [2, 2],
  'llama.attention.layer_norm_rms_epsilon': 1e-5,
  'llama.rope.freq_base': 500_000,
  'tokenizer.ggml.eos_token_id': 7,
};
const table: ReadTensor = { name: '', type: 'F16', shape: [96, 64], byteOffset: 0, byteLength: 0 };

function read(
  more: Readonly<Record<string, ReadValue>> = {},
  { names = [], factors }: { names?: readonly string[]; factors?: Float32Array } = {},
): ReturnType<typeof baseConfig> {
  return baseConfig(
    {
      modelType: 'llama',
      architecture: {
        architecture: 'llama',
        tensors: {},
        base: { className: 'LlamaForCausalLM', biases: { attention_bias: 'attn_q' } },
      },
    },
    {
      metadata: new Metadata('m.gguf', new Map<string, ReadValue>(Object.entries({ ...values, ...more }))),
      tensors: new Map(['token_embd.weight', ...names].map((name) => [name, table])),
      rotaryFactors: factors,
    },
  );
}

test('sizes, a table that is tied, biases and ids', () => {
  expect(read().config).toEqual({
    model_type: 'llama',
    architectures: ['LlamaForCausalLM'],
    vocab_size: 96,
    hidden_size: 64,
    intermediate_size: 128,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 16,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
    eos_token_id: 7,
    attention_bias: false,
    rope_theta: 500_000,
  });
  expect(read({}, { names: ['output.weight', 'blk.0.attn_q.bias'] }).config).toMatchObject({
    tie_word_embeddings: false,
    attention_bias: true,
  });
});

test('positions: linear, YaRN, and Llama 3 by its factors', () => {
  const linear = { 'llama.rope.scaling.type': 'linear', 'llama.rope.scaling.factor': 4 };
  expect(read(linear).config).toMatchObject({ rope_scaling: { rope_type: 'linear', factor: 4 } });
  const yarn = {
    ...linear,
    'llama.rope.scaling.type': 'yarn',
    'llama.rope.scaling.original_context_length': 1024,
  };
  expect(read(yarn).config).toMatchObject({
    rope_scaling: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 1024 },
  });
  const given = { theta: 500_000, headSize: 16, factor: 8, low: 1, high: 4, context: 8192 };
  expect(read({}, { factors: llama3Factors(given) }).config).toMatchObject({
    rope_scaling: { rope_type: 'llama3', factor: 8, original_max_position_embeddings: 8192 },
  });
  expect(() => read({}, { factors: Float32Array.from({ length: 8 }, (_, at) => 1 + at) })).toThrow("not Llama 3's");
});

test('what the family does not compute is refused; what is not known is named', () => {
  expect(() => read({ 'llama.expert_count': 8 })).toThrow('8 experts');
  expect(() => read({ 'llama.rope.dimension_count': 8 })).toThrow('rope.dimension_count 8 beside heads of 16');
  expect(() => read({ 'llama.attention.head_count_kv': [2, 4] })).toThrow('the same for all layers');
  expect(() => read({ 'llama.block_count': 0 })).toThrow('a whole number above 0');
  expect(() => read({ 'llama.rope.scaling.type': 'longrope', 'llama.rope.scaling.factor': 2 })).toThrow('longrope');
  expect(read({ 'llama.residual_scale': 0.2 }).unknown).toEqual(['llama.residual_scale']);
});
