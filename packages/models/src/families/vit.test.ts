import { expect, test } from 'vitest';
import { outlineModel } from '../outline.js';
import { countedTask } from '../testing.js';
import { vit } from './vit.js';

const base = { model_type: 'vit' };

test('the defaults of the config class make a model of the size that transformers makes', () => {
  // google/vit-base-patch16-224 with two labels.
  const { model, parameters } = countedTask(base, 'image');
  expect(parameters).toBe(85_800_194);
  expect(model.shape.maxPositions).toBe(197);
  expect(countedTask({ ...base, image_size: [224, 112], patch_size: [16, 8] }, 'image').model.shape.maxPositions).toBe(
    197,
  );
});

test('an adapter for it is a PEFT adapter without a task type, of its class', () => {
  const { model } = countedTask(base, 'image');
  expect(model.taskType).toBeNull();
  expect(model.headModules).toEqual(['classifier']);
  expect(model.autoMapping).toEqual({
    base_model_class: 'ViTForImageClassification',
    parent_library: 'transformers.models.vit.modeling_vit',
  });
});

test('names of transformers 4 and 5 stand for each other', () => {
  const pairs = [
    ['vit.encoder.layer.3.attention.attention.query.weight', 'vit.layers.3.attention.q_proj.weight'],
    ['vit.encoder.layer.3.attention.output.dense.bias', 'vit.layers.3.attention.o_proj.bias'],
    ['vit.encoder.layer.11.intermediate.dense.weight', 'vit.layers.11.mlp.fc1.weight'],
    ['vit.encoder.layer.11.output.dense.weight', 'vit.layers.11.mlp.fc2.weight'],
    ['vit.encoder.layer.0.layernorm_before.weight', 'vit.layers.0.layernorm_before.weight'],
    ['vit.embeddings.cls_token', 'vit.embeddings.cls_token'],
    ['classifier.weight', 'classifier.weight'],
  ] as const;
  expect(pairs.map(([old]) => vit.pathOf?.(old))).toEqual(pairs.map(([, now]) => now));
  expect(pairs.map(([, now]) => vit.storedName?.(now))).toEqual(pairs.map(([old]) => old));
  expect(['query', 'value', 'fc1'].map((target) => vit.pathOf?.(target))).toEqual(['q_proj', 'v_proj', 'fc1']);
});

test('refuses by name what its code does not have, and to write text', () => {
  expect(() => countedTask({ ...base, hidden_act: 'quick_gelu' }, 'image')).toThrow(/hidden_act in config.json/);
  expect(() => countedTask({ ...base, patch_size: 300 }, 'image')).toThrow(/image_size in config.json/);
  expect(() => countedTask({ ...base, image_size: [1, 2, 3] }, 'image')).toThrow(/image_size in config.json/);
  expect(() => countedTask(base, 'tokens')).toThrow('a head for token-classification on ViT');
  expect(() => outlineModel(base)).toThrow('got ViT, an encoder. Use it for a task: image-classification.');
  expect(() => countedTask({ model_type: 'bert' }, 'image')).toThrow(
    'a head for image-classification on BERT: expected a model that reads images',
  );
});
