import { expect, test } from 'vitest';
import { outlineModel } from '../outline.js';
import { countedTask } from '../testing.js';

const base = { model_type: 'modernbert' };

test('the defaults of the config class make a model of the size that transformers makes', () => {
  expect(countedTask(base, 'sequence').parameters).toBe(149_606_402);
  const withBias = countedTask({ ...base, norm_bias: true, attention_bias: true, mlp_bias: true }, 'sequence');
  expect(withBias.parameters).toBeGreaterThan(149_606_402);
  expect(countedTask({ ...base, classifier_pooling: 'mean' }, 'sequence').model.head.reads).toBe('mean');
});

test('refuses by name what its code does not have, and to write text', () => {
  expect(() => countedTask({ ...base, classifier_pooling: 'max' }, 'sequence')).toThrow(
    /classifier_pooling in config.json/,
  );
  expect(() => outlineModel(base)).toThrow(
    'config.json: expected a model that writes text, got ModernBERT, an encoder. Use it for a task',
  );
});
