import { expect, test } from 'vitest';
import { outlineModel } from '../outline.js';
import { countedTask } from '../testing.js';

const base = { model_type: 'distilbert' };

test('the defaults of the config class make a model of the size that transformers makes', () => {
  expect(countedTask(base, 'sequence').parameters).toBe(66_955_010);
  expect(countedTask({ ...base, num_hidden_layers: 2, n_layers: 5 }, 'sequence').model.shape.layers).toBe(2);
});

test('refuses by name what its code does not have, and to write text', () => {
  expect(() => countedTask({ ...base, activation: 'quick_gelu' }, 'sequence')).toThrow(/activation in config.json/);
  expect(() => outlineModel(base)).toThrow(
    'config.json: expected a model that writes text, got DistilBERT, an encoder. Use it for a task',
  );
});
