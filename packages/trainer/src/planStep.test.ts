import { Arena, planMemory } from '@lowrank/tensor/backend';
import { expect, test } from 'vitest';
import type { Batch } from './batch.js';
import { planTrainStep } from './planStep.js';
import { makeRows, pack, referenceBackend, tinyModel } from './testing.js';
import { createTrainStep } from './trainStep.js';

const rows = makeRows(12);
const step = [pack(rows.slice(0, 8)), pack(rows.slice(8))];
const [first = pack(rows)] = step;

test.each([
  { shapes: [first], checkpointing: false },
  { shapes: [first], checkpointing: true },
  { shapes: [first, first], checkpointing: true },
  { shapes: step, checkpointing: true },
])('a plan states to the byte what a step allocates: %#', async ({ shapes, checkpointing }) => {
  const backend = referenceBackend();
  const { loss, parameters } = tinyModel(backend);
  const { plans, vectors, flops } = planTrainStep({
    loss,
    parameters,
    spec: backend.spec,
    microBatches: shapes,
    checkpointing,
    clip: 1,
  });
  expect(backend.memory.buffers).toBe(0);
  expect(vectors.reduce((total, { size }) => total + size, 0)).toBeGreaterThan(0);
  expect(flops).toBeGreaterThan(0);

  const model = tinyModel(backend);
  const step = await createTrainStep({ ...model, checkpointing, clip: 1, arena: new Arena(backend) });
  await step.prepare(shapes);
  expect(planMemory(plans).bytes).toBe(backend.memory.bytes);
  await step.dispose({ weights: true });
});

test('the operations of a step are those of its micro-batches and one update', () => {
  const { spec } = referenceBackend();
  const flopsOf = (shapes: readonly Batch[]): number => {
    const { loss, parameters } = tinyModel(referenceBackend());
    return planTrainStep({ loss, parameters, spec, microBatches: shapes }).flops;
  };
  const [second = first] = step.slice(1);
  expect(second.inputs.ids.shape).not.toEqual(first.inputs.ids.shape);
  expect(flopsOf([first, first, first]) - flopsOf([first, first])).toBe(
    flopsOf([first, second, first]) - flopsOf([first, second]),
  );
  expect(flopsOf([first, second])).toBeLessThan(flopsOf([first, first]));
});
