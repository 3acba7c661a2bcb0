import { loraConfig } from '@lowrank/lora';
import { readTensor, tensor } from '@lowrank/tensor';
import { owningViews } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { addAdapter } from './addAdapter.js';
import { removeAdapter } from './removeAdapter.js';
import { logitsOf, TinyModel } from './testing.js';

test('removing an adapter frees the flat vector that training laid its parameters out in', async () => {
  const model = new TinyModel();
  const base = await logitsOf(model);
  const { parameters } = await addAdapter(model, loraConfig({ targetModules: ['q_proj'], r: 2 }));
  const size = parameters.reduce((sum, { parameter }) => sum + parameter.tensor.size, 0);
  const vector = tensor(new Float32Array(size), [size]);
  let end = 0;
  const places = parameters.map(({ parameter: { tensor: own } }) => ({
    offset: (end += own.size) - own.size,
    shape: own.shape,
  }));
  const views = owningViews(vector, places);
  for (const [at, { parameter }] of parameters.entries()) {
    parameter.tensor.dispose();
    parameter.tensor = views[at] ?? parameter.tensor;
  }
  await addAdapter(model, loraConfig({ targetModules: ['v_proj'], r: 2 }), { name: 'other' });
  removeAdapter(model, 'other');
  expect(await readTensor(vector)).toHaveLength(size);
  removeAdapter(model);
  await expect(readTensor(vector)).rejects.toMatchObject({ code: 'tensor.disposed' });
  expect(await logitsOf(model)).toEqual(base);
});
