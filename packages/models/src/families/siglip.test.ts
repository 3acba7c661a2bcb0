import { expect, test } from 'vitest';
import { countedTask } from '../testing.js';

test('the defaults make a tower of the size that transformers makes, alone and beside texts', () => {
  const whole = countedTask({ model_type: 'siglip', vision_config: {} }, 'image');
  expect(whole.parameters).toBe(92_885_762);
  expect(countedTask({ model_type: 'siglip_vision_model' }, 'image').parameters).toBe(whole.parameters);
  const bare = countedTask({ model_type: 'siglip', vision_config: { vision_use_head: false } }, 'image');
  expect([...bare.model.getModule('vision_model').children().keys()]).toEqual([
    'embeddings',
    'encoder',
    'post_layernorm',
  ]);
});
