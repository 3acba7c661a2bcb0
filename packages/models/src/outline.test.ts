import { planFunction } from '@lowrank/tensor/backend';
import { ReferenceBackend } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { openFolder, readJson } from './files.js';
import { loadCausalModel } from './load.js';
import { outlineModel } from './outline.js';
import { goldenFolder } from './testing.js';

const described = (model: Awaited<ReturnType<typeof loadCausalModel>>): string[] =>
  [...model.namedParameters()].map(([path, { tensor }]) => `${path} ${tensor.dtype} [${tensor.shape.join()}]`);

test('an outline has the parameters of the model, and none of its data', async () => {
  const folder = await openFolder(goldenFolder('tied'));
  const loaded = await loadCausalModel(folder);
  const outline = outlineModel(await readJson(folder, 'config.json'));
  expect(described(outline)).toEqual(described(loaded));
  expect(outline.shape).toEqual(loaded.shape);
});

test('matrices take the dtype that is asked for, and linear layers the quantization', async () => {
  const config = await readJson(await openFolder(goldenFolder('tied')), 'config.json');
  const dtypes = (options: Parameters<typeof outlineModel>[1]): string[] => [
    ...new Set(
      [...outlineModel(config, options).namedParameters()].map(
        ([path, { tensor }]) => `${path.split('.').slice(-2).join('.')} ${tensor.dtype}`,
      ),
    ),
  ];
  expect(dtypes({ dtype: 'bf16' })).toEqual(
    expect.arrayContaining(['embed_tokens.weight bf16', 'q_proj.weight bf16', 'input_layernorm.weight f32']),
  );
  const quantized = dtypes({ dtype: 'bf16', quantization: { type: 'nf4', doubleQuantization: true } });
  expect(quantized).toEqual(
    expect.arrayContaining([
      'embed_tokens.weight bf16',
      'q_proj.weight u8',
      'weight.absmax u8',
      'weight.nested f32',
      'input_layernorm.weight f32',
    ]),
  );
  expect(() => outlineModel(config, { quantization: { type: 'int8', doubleQuantization: true } })).toThrow(/int8/);
});

test('a model that no memory could hold is outlined and planned', () => {
  const config = {
    model_type: 'llama',
    hidden_size: 16_384,
    intermediate_size: 53_248,
    num_hidden_layers: 3,
    num_attention_heads: 128,
    num_key_value_heads: 8,
    vocab_size: 128_256,
    max_position_embeddings: 4096,
  };
  const model = outlineModel(config, { dtype: 'bf16' });
  const { spec } = new ReferenceBackend({ maxBindingBytes: 2 ** 33, maxBufferBytes: 2 ** 33 });
  const row = { shape: [1, 64], dtype: 'i32' as const };
  const plan = planFunction(
    ({ ids, labels, positions, segments }) => {
      if (ids === undefined || labels === undefined || positions === undefined || segments === undefined)
        throw new TypeError('a batch');
      return { loss: model.loss({ ids, labels, positions, segments }) };
    },
    { ids: row, labels: row, positions: row, segments: { shape: [1, 64, 2], dtype: 'i32' } },
    spec,
  );
  const bytes = plan.buffers.reduce((total, buffer) => total + (buffer.kind === 'source' ? buffer.bytes : 0), 0);
  expect(bytes).toBeGreaterThan(2 * (2 * 128_256 * 16_384 + 3 * 3 * 53_248 * 16_384));
});
