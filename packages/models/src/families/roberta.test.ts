import { expect, test } from 'vitest';
import { outlineModel } from '../outline.js';
import { countedTask } from '../testing.js';

const base = { model_type: 'roberta', max_position_embeddings: 514, type_vocab_size: 1 };

test('the defaults of the config class make a model of the size that transformers makes', () => {
  expect(countedTask(base, 'sequence').parameters).toBe(124_647_170);
  // The rows of positions up to the padding id are left unused.
  expect(countedTask(base, 'sequence').model.shape.maxPositions).toBe(512);
});

test('refuses by name what its code does not have, and to write text', () => {
  expect(() => countedTask({ ...base, position_embedding_type: 'relative_key' }, 'sequence')).toThrow(
    /position_embedding_type in config.json/,
  );
  expect(() => outlineModel(base)).toThrow(
    'config.json: expected a model that writes text, got RoBERTa, an encoder. Use it for a task',
  );
});
