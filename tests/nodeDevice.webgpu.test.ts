import { expect, test } from 'vitest';
import { affineShader, runShader } from './helpers/runShader';
import { openTestDevice } from './helpers/webgpuDevice';
import { dispatchCount } from './setup/dispatchCounter';

test('the WebGPU device of Node computes, and the dispatch is counted', async () => {
  const { device } = await openTestDevice();
  const before = dispatchCount();
  const output = await runShader({
    device,
    code: affineShader,
    input: new Float32Array([0, 1, -2.5, 7, 11]),
    workgroups: 1,
  });
  expect([...output]).toEqual([1, 3, -4, 15, 23]);
  expect(dispatchCount() - before).toBe(1);
  device.destroy();
});
