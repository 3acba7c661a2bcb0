import { Arena, planMemory } from '@lowrank/tensor';
import { expect, test } from 'vitest';
import { planTrainStep } from './planStep.js';
import { makeRows, pack, referenceBackend, tinyModel } from './testing.js';
import { createTrainStep } from './trainStep.js';

const rows = makeRows(12);
const window = [pack(rows.slice(0, 6)), pack(rows.slice(6))];
const [first = pack(rows)] = window;

test.each([
  { accumulation: 1, checkpointing: false },
  { accumulation: 1, checkpointing: true },
  { accumulation: 2, checkpointing: true },
])('a plan says to the byte what a step allocates: %o', async ({ accumulation, checkpointing }) => {
  const backend = referenceBackend();
  const { loss, parameters } = tinyModel(backend);
  const { plans, vectors, flops } = planTrainStep({ loss, parameters, spec: backend.spec, batch: first, accumulation, checkpointing, clip: 1 });
  expect(backend.memory.buffers).toBe(0);
  expect(vectors.reduce((total, { size }) => total + size, 0)).toBeGreaterThan(0);
  expect(flops).toBeGreaterThan(0);

  const model = tinyModel(backend);
  const step = await createTrainStep({ ...model, checkpointing, clip: 1, arena: new Arena(backend) });
  await step.prepare(Array.from({ length: accumulation }, () => first));
  expect(planMemory(plans).bytes).toBe(backend.memory.bytes);
  await step.dispose({ weights: true });
});

test('without a device a plan for a window counts its batches', () => {
  const { spec } = referenceBackend();
  const flops = [1, 2, 3].map((accumulation) => {
    const { loss, parameters } = tinyModel(referenceBackend());
    return planTrainStep({ loss, parameters, spec, batch: first, accumulation }).flops;
  });
  const [one = 0, two = 0, three = 0] = flops;
  expect(three - two).toBeGreaterThan(0.9 * one);
});
