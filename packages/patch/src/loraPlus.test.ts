import { loraConfig } from '@lowrank/lora';
import { expect, test } from 'vitest';
import { addAdapter } from './addAdapter.js';
import { withLoraPlus } from './loraPlus.js';
import { TinyModel } from './testing.js';

test('B and vectors learn faster, A and what belongs to embeddings do not', async () => {
  const { parameters: trained } = await addAdapter(
    new TinyModel(),
    loraConfig({ targetModules: ['model.embed_tokens', 'model.layers.0.self_attn.q_proj'], r: 2, useDora: true }),
  );
  const factors = Object.fromEntries(
    withLoraPlus(trained, 16).map(({ name, learningRateFactor }) => [name, learningRateFactor]),
  );
  expect(factors).toEqual({
    'model.embed_tokens.lora_embedding_A': 1,
    'model.embed_tokens.lora_embedding_B': 1,
    'model.embed_tokens.lora_magnitude_vector': 16,
    'model.layers.0.self_attn.q_proj.lora_A': 1,
    'model.layers.0.self_attn.q_proj.lora_B': 16,
    'model.layers.0.self_attn.q_proj.lora_magnitude_vector': 16,
  });
});
