import type { LoraConfig } from '@lowrank/lora';
import { loraConfig } from '@lowrank/lora';
import { expect, test } from 'vitest';
import { convertAdapter } from './convertAdapter.js';

const config = { model_type: 'llama', num_attention_heads: 2, num_key_value_heads: 2 };
const architecture = {
  architecture: 'llama',
  tensors: { 'model.layers.{i}.mlp.up_proj': 'blk.{i}.ffn_up' },
  interleavedHeads: true,
};
const layers = new Map([
  [
    'model.layers.0.mlp.up_proj',
    { a: new Float32Array(8), b: new Float32Array(6), rank: 2, inFeatures: 4, outFeatures: 3 },
  ],
]);

function convert(given: Partial<LoraConfig>): unknown {
  return convertAdapter({
    adapter: { config: loraConfig({ targetModules: ['up_proj'], r: 2, ...given }), layers },
    config,
    architecture,
    name: 'tiny',
  });
}

test.each<[Partial<LoraConfig>, string]>([
  [{ useDora: true }, 'lora_magnitude_vector'],
  [{ loraBias: true }, 'lora_bias'],
  [{ bias: 'all' }, 'bias'],
  [{ init: 'olora' }, 'olora'],
  [{ modulesToSave: ['lm_head', 'norm'] }, 'modules_to_save = lm_head, norm'],
  [{ trainableTokenIndices: [3] }, 'trainable_token_indices'],
])('%j is more than A and B: refused', (given, name) => {
  expect(() => convert(given)).toThrow(`expected only A and B, got one with ${name}`);
});

test('tables that are saved along are refused by their names', () => {
  const table = { dtype: 'F32' as const, shape: [1], data: new Uint8Array(4) };
  const names = ['model.embed_tokens.base_layer.weight', 'lm_head.weight'];
  const adapter = { config: loraConfig({ targetModules: ['up_proj'], r: 2 }), layers };
  const of = (more: object): unknown =>
    convertAdapter({ adapter: { ...adapter, ...more }, config, architecture, name: '' });
  expect(() => of({ whole: new Map(names.map((name) => [name, table])) })).toThrow(
    'got one with model.embed_tokens.base_layer.weight, lm_head.weight of its own',
  );
  expect(() => of({ tokens: new Map([['lm_head', { rows: new Float32Array(1), width: 1 }]]) })).toThrow('lm_head');
  expect(of({ whole: new Map(), tokens: new Map() })).toMatchObject({ tensors: [{}, {}] });
});

test.each<Partial<LoraConfig>>([{ useRslora: true }, { init: 'orthogonal' }, { bias: 'none' }])(
  '%j is not',
  (given) => {
    expect(convert(given)).toMatchObject({
      tensors: [{ name: 'blk.0.ffn_up.weight.lora_a' }, { name: 'blk.0.ffn_up.weight.lora_b' }],
    });
  },
);
