import { bytesSource } from '@lowrank/safetensors';
import { expect, test } from 'vitest';
import { loraConfig } from './config.js';
import type { LoraAdapter, LoraMatrices } from './loraAdapter.js';
import { readMlxAdapter } from './mlx.js';
import { mlxFiles } from './mlxFiles.js';

function layer(rank: number, inFeatures: number, outFeatures: number): LoraMatrices {
  const numbers = (count: number, factor: number): Float32Array =>
    Float32Array.from({ length: count }, (_, at) => Math.sin(at * factor));
  return { a: numbers(rank * inFeatures, 1), b: numbers(outFeatures * rank, 2), rank, inFeatures, outFeatures };
}

function adapter(layers: Record<string, LoraMatrices>): LoraAdapter {
  return {
    config: loraConfig({ r: 2, alpha: 3, targetModules: 'all-linear' }),
    layers: new Map(Object.entries(layers)),
  };
}

const plain = adapter({
  'model.layers.0.self_attn.q_proj': layer(2, 4, 6),
  'model.layers.1.mlp.up_proj': layer(2, 5, 3),
});

test('what is written reads back as the same adapter', async () => {
  const { weights, parameters } = mlxFiles(plain);
  expect(parameters).toEqual({ rank: 2, scale: 1.5, dropout: 0, keys: ['mlp.up_proj', 'self_attn.q_proj'] });
  const config = { fine_tune_type: 'lora', lora_parameters: parameters };
  const { layers } = await readMlxAdapter({ config, weights: bytesSource(weights, 'adapters'), name: 'here' });
  for (const [path, { a, b }] of plain.layers) expect([layers.get(path)?.a, layers.get(path)?.b]).toEqual([a, b]);
});

test.each([
  ['ranks', adapter({ 'm.layers.0.a': layer(2, 4, 4), 'm.layers.0.b': layer(1, 4, 4) }), /ranks 2 and 1/],
  ['the head', adapter({ lm_head: layer(2, 4, 4) }), /lm_head/],
  ['DoRA', adapter({ 'm.layers.0.a': { ...layer(2, 4, 4), vector: new Float32Array(4) } }), /DoRA/],
])('%s is refused', (_, given, words) => {
  expect(() => mlxFiles(given)).toThrow(words);
});
