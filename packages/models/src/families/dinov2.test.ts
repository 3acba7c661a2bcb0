import { expect, test } from 'vitest';
import { countedTask } from '../testing.js';
import { dinov2 } from './dinov2.js';

const base = { model_type: 'dinov2' };

test('the defaults of the config class make a model of the size that transformers makes', () => {
  expect(countedTask(base, 'image').parameters).toBe(85_728_770);
  expect(countedTask({ ...base, use_mask_token: false }, 'image').parameters).toBe(85_728_770 - 768);
});

test('names of transformers 4 and 5 stand for each other', () => {
  const [old, now] = [
    'dinov2.encoder.layer.3.attention.attention.value.weight',
    'dinov2.encoder.layer.3.attention.v_proj.weight',
  ];
  expect([dinov2.pathOf?.(old), dinov2.storedName?.(now)]).toEqual([now, old]);
  expect(dinov2.pathOf?.('dinov2.encoder.layer.3.attention.output.dense.bias')).toBe(
    'dinov2.encoder.layer.3.attention.o_proj.bias',
  );
  expect(dinov2.storedName?.('dinov2.encoder.layer.0.mlp.fc1.weight')).toBe('dinov2.encoder.layer.0.mlp.fc1.weight');
});

test('refuses the feed-forward block of the giant by name', () => {
  expect(() => countedTask({ ...base, use_swiglu_ffn: true }, 'image')).toThrow(/use_swiglu_ffn in config.json/);
});
