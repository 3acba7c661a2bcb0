import { createCpuBackend } from '@lowrank/cpu';
import { packBatch } from '@lowrank/data';
import { createTrainStep } from '@lowrank/trainer';
import { expect, test } from 'vitest';
import { openTrainee, trainRows, windowRows } from './parity/trainCases.js';

test('host and device memory stay flat over 500 steps', async () => {
  const backend = await createCpuBackend();
  const { model, parameters } = await openTrainee('lora');
  const rows = await trainRows();
  const step = await createTrainStep({ backend, loss: (batch) => model.loss(batch), parameters, clip: 1 });
  const batch = packBatch(windowRows(rows, 0, 4));
  const run = async (steps: number): Promise<void> => {
    for (let at = 0; at < steps; at++) await (await step.run([batch], 1e-4)).loss;
  };
  const used = (): number => {
    globalThis.gc?.();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  await run(100);
  const device = backend.memory;
  const before = used();
  await run(500);
  expect(backend.memory).toEqual(device);
  // Without a forced collection garbage is in the figure; a leak of one gradient per step would be 500 times 10 kB.
  expect(used() - before).toBeLessThan(globalThis.gc === undefined ? 24e6 : 1.5e6);
  await step.dispose({ weights: true });
  model.dispose();
  expect(backend.memory.buffers).toBe(0);
  backend.dispose();
});
