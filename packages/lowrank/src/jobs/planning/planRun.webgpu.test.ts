import { packBatch } from '@lowrank/data';
import { openFolder, readJson } from '@lowrank/models';
import { scalar } from '@lowrank/tensor';
import { Arena } from '@lowrank/tensor/backend';
import { createTrainStep } from '@lowrank/trainer';
import { createWebgpuBackend, portableSpec } from '@lowrank/webgpu';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { golden } from '../../testing.js';
import { openModel } from '../openModel.js';
import type { PlannedRun } from './planRun.js';
import { planRun } from './planRun.js';
import { applyMethod } from '../methodRun.js';

test('on WebGPU a QLoRA run allocates to the byte what was planned without a device', async () => {
  const folder = join(golden, 'tied');
  const config = await readJson(await openFolder(folder), 'config.json');
  const quantization = { type: 'nf4', doubleQuantization: true } as const;
  const run: PlannedRun = {
    config,
    name: folder,
    method: 'qlora',
    r: 2,
    batchSize: 1,
    gradientAccumulation: 1,
    maxLength: 16,
    packing: true,
    checkpointing: true,
    optimizer: 'adamw',
    dtype: 'f32',
    quantization,
  };
  const backend = await createWebgpuBackend({ limits: 'default' });
  const cost = await planRun(run, {
    name: 'portable',
    spec: portableSpec({}, { profile: backend.profile }),
    memoryBytes: undefined,
  });

  const model = await openModel(folder, {
    quantization: 'nf4',
    doubleQuantization: true,
    backend: () => Promise.resolve(backend),
  });
  const { parameters } = await applyMethod(model, 'lora', { r: 2, seed: 1 });
  const random = { seed: scalar(1, { dtype: 'u32' }), step: scalar(0, { dtype: 'u32' }) };
  const step = await createTrainStep({
    backend,
    loss: model.trainingLoss(random),
    random,
    parameters,
    checkpointing: true,
    clip: 1,
    arena: new Arena(backend),
  });
  await step.prepare(cost.microBatches);
  expect(cost.bytes.peak).toBe(backend.memory.bytes);

  const ids = Int32Array.from({ length: 16 }, (_, at) => at % 7);
  const row = { line: 1, ids, labels: ids, labelTokens: 15, fullLength: 16, promptIsPrefix: true };
  const { loss } = await step.run([packBatch([row])], 1e-3);
  expect(await loss).toBeGreaterThan(0);
  expect(backend.memory.peakBytes).toBe(cost.bytes.peak);
  backend.dispose();
});
