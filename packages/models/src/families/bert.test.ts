import { expect, test } from 'vitest';
import { outlineModel } from '../outline.js';
import { countedTask } from '../testing.js';

const base = { model_type: 'bert' };

test('the defaults of the config class make a model of the size that transformers makes', () => {
  expect(countedTask(base, 'sequence').parameters).toBe(109_483_778);
  // A head on each token, or on both ends of a span, does without the pooler.
  const withPooler = [...countedTask(base, 'sequence').model.namedModules()].filter(([path]) =>
    path.includes('pooler'),
  );
  expect(withPooler.map(([path]) => path)).toEqual(['bert.pooler', 'bert.pooler.dense']);
  expect(countedTask(base, 'tokens').parameters).toBe(109_483_778 - 768 * 769);
});

test('refuses by name what its code does not have, and to write text', () => {
  expect(() => countedTask({ ...base, position_embedding_type: 'relative_key' }, 'sequence')).toThrow(
    /position_embedding_type in config.json/,
  );
  expect(() => outlineModel(base)).toThrow(
    'config.json: expected a model that writes text, got BERT, an encoder. Use it for a task',
  );
});
