import { expect, test } from 'vitest';
import { countedModel } from '../testing.js';

/** Granite 3.1 2B as published. */
const published = {
  model_type: 'granite',
  vocab_size: 49_152,
  hidden_size: 2048,
  intermediate_size: 8192,
  num_hidden_layers: 40,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  max_position_embeddings: 131_072,
  rms_norm_eps: 1e-5,
  rope_theta: 5_000_000,
  tie_word_embeddings: true,
  attention_multiplier: 0.015625,
  embedding_multiplier: 12,
  logits_scaling: 8,
  residual_multiplier: 0.22,
};

test('Granite 3.1 2B: the parameters that transformers counts, and its factors', () => {
  const { model, parameters } = countedModel(published);
  expect(parameters).toBe(2_533_525_504);
  expect(model.shape).toMatchObject({ scale: 1 / 64, residualScale: 0.22, logitScale: 1 / 8, maxPositions: 131_072 });
  expect(model.embeddingScale).toBe(12);
});

test('factors that are left out are 1, as in the config class of transformers', () => {
  const { attention_multiplier: _, embedding_multiplier: __, ...rest } = published;
  expect(countedModel(rest).model).toMatchObject({ embeddingScale: 1, shape: { scale: 1 } });
});

test.each([
  [{ hidden_act: 'gelu' }, /hidden_act.*"silu", got "gelu"/],
  [{ logits_scaling: '8' }, /logits_scaling.*a number/],
])('%j is refused', (over, message) => {
  expect(() => countedModel({ ...published, ...over })).toThrow(message);
});
