import { outlineModel } from '@lowrank/models';
import { expect, test } from 'vitest';
import { paddingWarnings } from './paddingWarning.js';

const config = {
  model_type: 'llama',
  vocab_size: 8,
  hidden_size: 4,
  intermediate_size: 4,
  num_hidden_layers: 1,
  num_attention_heads: 1,
};
const rows = (...lists: number[][]) => lists.map((ids) => ({ ids: Int32Array.from(ids) }));
const trained = (model: ReturnType<typeof outlineModel>, path: string) => ({
  parameters: [...model.namedParameters()]
    .filter(([name]) => name.startsWith(path))
    .map(([name, parameter]) => ({ name, parameter })),
});

test('a padding token within rows of a trained embedding is told; at their end, or frozen, it is not', () => {
  const model = outlineModel({ ...config, pad_token_id: 2 });
  const all = trained(model, 'model.');
  expect(paddingWarnings(model, all, rows([1, 2, 3], [1, 3, 2]))).toEqual([
    expect.stringMatching(/pad_token_id 2 stands within 1 row: transformers leaves its row .* Lowrank trains it/),
  ]);
  expect(paddingWarnings(model, all, rows([1, 3, 2]))).toEqual([]);
  expect(paddingWarnings(model, trained(model, 'model.layers'), rows([1, 2, 3]))).toEqual([]);
  const without = outlineModel(config);
  expect(paddingWarnings(without, trained(without, 'model.'), rows([1, 2, 3]))).toEqual([]);
});
