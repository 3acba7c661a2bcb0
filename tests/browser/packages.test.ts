import { LowrankError } from '@lowrank/errors';
import { blobSource, openSafetensors, serializeSafetensors } from '@lowrank/safetensors';
import { expect, test } from 'vitest';
import { affineShader, runShader } from '../helpers/runShader';

/** What a page loads, as it is published; the command line and the queue alone are Node's. */
const published = {
  errors: () => import('@lowrank/errors'),
  tensor: () => import('@lowrank/tensor'),
  'tensor/op': () => import('@lowrank/tensor/op'),
  'tensor/backend': () => import('@lowrank/tensor/backend'),
  webgpu: () => import('@lowrank/webgpu'),
  cpu: () => import('@lowrank/cpu'),
  safetensors: () => import('@lowrank/safetensors'),
  nn: () => import('@lowrank/nn'),
  quant: () => import('@lowrank/quant'),
  lora: () => import('@lowrank/lora'),
  patch: () => import('@lowrank/patch'),
  methods: () => import('@lowrank/methods'),
  models: () => import('@lowrank/models'),
  gguf: () => import('@lowrank/gguf'),
  data: () => import('@lowrank/data'),
  trainer: () => import('@lowrank/trainer'),
};

test.each(Object.entries(published))('the built @lowrank/%s loads in a browser', async (_name, load) => {
  expect(Object.keys(await load())).not.toHaveLength(0);
});

test('weights in a Blob reach the GPU', async () => {
  const values = new Float32Array([0.5, -1, 3, 8, 13]);
  const bytes = serializeSafetensors([{ name: 'w', dtype: 'F32', shape: [5], data: new Uint8Array(values.buffer) }]);
  const file = await openSafetensors(blobSource(new Blob([bytes])));
  const read = new Float32Array((await file.read('w')).slice().buffer);
  const device = await (await navigator.gpu.requestAdapter())?.requestDevice();
  if (!device) throw new Error('no device');
  expect([...(await runShader({ device, code: affineShader, input: read, workgroups: 1 }))]).toEqual([
    2, -1, 7, 17, 27,
  ]);
  device.destroy();
});

test('a hostile file is a LowrankError in a browser too', async () => {
  const truncated = new Blob([new Uint8Array([255, 255, 255, 255, 255, 0, 0, 0, 123])]);
  await expect(openSafetensors(blobSource(truncated))).rejects.toBeInstanceOf(LowrankError);
});
