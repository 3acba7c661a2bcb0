import { describe, expect, test } from 'vitest';
import { ConfigReader } from '../config.js';
import { llamaConfig } from './llama.js';

/** As transformers 4 writes it. */
const plain = {
  model_type: 'llama',
  vocab_size: 96,
  hidden_size: 24,
  intermediate_size: 40,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 128,
  rms_norm_eps: 1e-5,
  rope_theta: 500_000,
  hidden_act: 'silu',
  tie_word_embeddings: true,
  bos_token_id: 1,
  eos_token_id: [2, 3],
};

const parse = (over: Record<string, unknown> = {}): ReturnType<typeof llamaConfig> =>
  llamaConfig(new ConfigReader({ ...plain, ...over }, 'here/config.json'));

test('a config of transformers 4', () => {
  expect(parse()).toMatchObject({
    heads: 4,
    keyHeads: 2,
    headSize: 6,
    maxPositions: 128,
    normEpsilon: 1e-5,
    tied: true,
    attentionBias: false,
    mlpBias: false,
    eosIds: [2, 3],
    bosId: 1,
    rotary: { theta: 500_000, size: 6 },
  });
  expect(parse().rotary.scaling).toBeUndefined();
});

test('without the optional keys: as many key heads as heads, no ties, no biases', () => {
  expect(
    parse({
      num_key_value_heads: undefined,
      tie_word_embeddings: undefined,
      rope_theta: undefined,
      eos_token_id: undefined,
    }),
  ).toMatchObject({ keyHeads: 4, tied: false, eosIds: [2], rotary: { theta: 10_000 } });
});

test('a head size of its own', () => {
  expect(parse({ head_dim: 16 })).toMatchObject({ headSize: 16, rotary: { size: 16 } });
});

test.each([
  [
    'rope_scaling of transformers 4',
    {
      rope_scaling: {
        rope_type: 'llama3',
        factor: 8,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 32,
      },
    },
    500_000,
  ],
  [
    'rope_parameters of transformers 5',
    {
      rope_theta: undefined,
      rope_parameters: {
        rope_theta: 7,
        rope_type: 'llama3',
        factor: 8,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 32,
      },
    },
    7,
  ],
])('%s', (_, over, theta) => {
  expect(parse(over).rotary).toMatchObject({
    theta,
    scaling: { type: 'llama3', factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalMaxPositions: 32 },
  });
});

test('linear scaling under its old key', () => {
  expect(parse({ rope_scaling: { type: 'linear', factor: 2 } }).rotary.scaling).toEqual({ type: 'linear', factor: 2 });
});

describe('refused, by name', () => {
  test.each<[Record<string, unknown>, RegExp]>([
    [
      { rope_scaling: { type: 'proportional', factor: 2 } },
      /type in rope_scaling in here\/config\.json.*"llama3" or "yarn", got "proportional"/,
    ],
    [{ rope_scaling: { type: 'dynamic' } }, /factor in rope_scaling.*a number, got nothing/],
    [{ rope_scaling: { rope_type: 'longrope', short_factor: [1] } }, /"longrope"/],
    [{ rope_scaling: { rope_type: 'llama3', factor: 2 } }, /low_freq_factor/],
    [{ hidden_act: 'gelu' }, /hidden_act in here\/config\.json: expected "silu", got "gelu"/],
    [{ num_hidden_layers: 1e5 }, /num_hidden_layers.*at most 10000, got 100000/],
    [{ num_hidden_layers: 1e12 }, /num_hidden_layers.*at most 10000/],
    [{ head_dim: 1e12 }, /head_dim/],
    [{ partial_rotary_factor: 0.5 }, /partial_rotary_factor/],
    [{ num_key_value_heads: 3 }, /num_key_value_heads.*divisor of the 4/],
    [{ head_dim: 5 }, /head_dim.*even/],
    [{ hidden_size: undefined }, /hidden_size.*above 0, got nothing/],
    [{ hidden_size: 24.5 }, /hidden_size/],
    [{ vocab_size: '96' }, /vocab_size.*got "96"/],
    [{ num_hidden_layers: 0 }, /num_hidden_layers/],
    [{ rms_norm_eps: null, tie_word_embeddings: 'yes' }, /tie_word_embeddings.*true or false/],
    [{ eos_token_id: ['</s>'] }, /eos_token_id.*token ids/],
  ])('%j', (over, message) => expect(() => parse(over)).toThrow(message));
});

test('what transformers leaves aside is left aside', () => {
  expect(parse({ sliding_window: 4096, pretraining_tp: 2 })).toEqual(parse({}));
});
