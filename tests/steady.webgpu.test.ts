import { packBatch } from '@lowrank/data';
import { compile, grad } from '@lowrank/tensor';
import { dumpPlan } from '@lowrank/tensor/backend';
import { createTrainStep } from '@lowrank/trainer';
import { createWebgpuBackend } from '@lowrank/webgpu';
import type { WebgpuBackend } from '@lowrank/webgpu';
import { expect, test } from 'vitest';
import { openTrainee, trainRows, windowRows } from './parity/trainCases.js';

async function open(): Promise<WebgpuBackend> {
  return createWebgpuBackend({ allowSoftware: true, limits: 'default' });
}

test('after its first step a length creates nothing on the device, over 50 steps, one submit each', async () => {
  const backend = await open();
  const { device } = backend;
  // Counted here, on the device itself, and not by the backend's own counters.
  const created: Record<string, number> = {};
  const wrap = <
    Key extends
      | 'createBuffer'
      | 'createBindGroup'
      | 'createComputePipeline'
      | 'createComputePipelineAsync'
      | 'createShaderModule',
  >(
    name: Key,
  ): void => {
    const original = device.gpu[name].bind(device.gpu) as (...args: unknown[]) => unknown;
    Object.defineProperty(device.gpu, name, {
      value: (...args: unknown[]) => {
        created[name] = (created[name] ?? 0) + 1;
        return original(...args);
      },
    });
  };
  wrap('createBuffer');
  wrap('createBindGroup');
  wrap('createComputePipeline');
  wrap('createComputePipelineAsync');
  wrap('createShaderModule');
  const { model, parameters } = await openTrainee('lora');
  const rows = await trainRows();
  const step = await createTrainStep({ backend, loss: (batch) => model.loss(batch), parameters, clip: 1 });
  const batch = packBatch(windowRows(rows, 0, 4));
  await (
    await step.run([batch], 1e-3)
  ).loss;
  expect(created['createBuffer']).toBeGreaterThan(0);
  const before = { ...created };
  const { submits, dispatches } = device.counters;
  for (let at = 0; at < 50; at++) {
    const { loss } = await step.run([batch], 1e-3 / (at + 1));
    await loss;
  }
  expect(created).toEqual(before);
  expect(device.counters.submits - submits).toBe(50);
  expect(device.counters.dispatches).toBeGreaterThan(dispatches + 50);
  await step.dispose({ weights: true });
  model.dispose();
  backend.dispose();
});

test('bytes allocated on the device are the plan’s and the staging ring’s, and all are given back', async () => {
  const backend = await open();
  const { model, parameters } = await openTrainee('lora');
  const rows = await trainRows();
  const batch = packBatch(windowRows(rows, 0, 4));
  const fn = compile(backend, (inputs) => {
    const { ids, labels, positions, segments } = inputs;
    if (ids === undefined || labels === undefined || positions === undefined || segments === undefined)
      throw new TypeError('a batch has four parts');
    const loss = model.loss({ ids, labels, positions, segments });
    const gradients = grad(
      loss,
      parameters.map(({ parameter }) => parameter.tensor),
    );
    return { loss, ...Object.fromEntries(gradients.map((gradient, at) => [`g${at}`, gradient])) };
  });
  const { inputs } = batch;
  const plan = await fn.prepare(
    Object.fromEntries(
      Object.entries(inputs).map(([name, { shape: own }]) => [name, { shape: own, dtype: 'i32' as const }]),
    ),
  );
  expect(backend.memory.bytes).toBe(plan.buffers.reduce((total, { bytes }) => total + Math.max(4, bytes), 0));
  await (
    await fn.run(inputs)
  ).loss;
  // Nothing holds a T×T matrix or whole logits; chunks of logits are at most half of the rows.
  const text = dumpPlan(plan);
  expect(text).not.toContain(`${batch.length}, ${batch.length}]`);
  if (batch.length > 64) expect(text).not.toContain(`[${batch.length}, ${model.shape.vocabularySize}]`);
  await fn.dispose();
  model.dispose();
  parameters.forEach(({ parameter }) => parameter.tensor.dispose());
  expect(backend.memory.buffers).toBe(0);
  expect(backend.device.counters.bytes).toBe(0);
  backend.dispose();
});
