import { createCpuBackend } from '@lowrank/cpu';
import { contenderNamed } from '@lowrank/methods';
import { loadTaskModel, openFolder, readJson } from '@lowrank/models';
import { scalar } from '@lowrank/tensor';
import { Arena } from '@lowrank/tensor/backend';
import { createTrainStep } from '@lowrank/trainer';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { taskLoss } from '../../front/taskRun.js';
import { golden } from '../../testing.js';
import { applyMethod } from '../methodRun.js';
import { asOpenedModel, asTraining } from '../openModel.js';
import { headOf } from '../openTask.js';
import { plannedRun } from './plannedRun.js';
import type { PlanOptions } from './plannedRun.js';
import { planRun } from './planRun.js';

const texts = join(golden, '../tasks/model');
const images = join(golden, '../imageTask/model');
const plain: PlanOptions = { r: 3, batchSize: 2, maxLength: 24, dtype: 'f32', numLabels: 5 };

test.each<PlanOptions>([
  { task: 'text-classification', targetModules: ['query', 'value'] },
  { task: 'text-classification', method: 'full', r: undefined },
  { task: 'text-classification', method: 'qlora', quantization: 'nf4', targetModules: ['all-linear'] },
  { task: 'text-classification', method: 'prefix', r: undefined, virtualTokens: 3 },
  { task: 'token-classification', packing: false, gradientAccumulation: 2, checkpointing: true },
  { task: 'question-answering', method: 'bitfit', r: undefined },
  { task: 'feature-extraction' },
  { task: 'image-classification', targetModules: ['q_proj', 'v_proj'], numLabels: undefined },
  { task: 'image-classification', method: 'full', r: undefined, packing: false, numLabels: undefined },
])('%o: the bytes that the plan tells are those that the run allocates', async (given) => {
  const folder = given.task === 'image-classification' ? images : texts;
  const files = await openFolder(folder);
  const options = { ...plain, ...given };
  const config = await readJson(files, 'config.json');
  const run = plannedRun(options, { name: folder, config });
  const backend = await createCpuBackend({ threads: 1 });
  const { name, spec } = backend;
  const cost = await planRun(run, { name, spec, memoryBytes: undefined });
  expect(backend.memory.buffers).toBe(0);
  expect(cost.flops).toBeGreaterThan(0);

  const { task } = run;
  if (task === undefined) throw new TypeError('a plan without its task');
  const module = await loadTaskModel(files, headOf(task, 1), {
    quantization: run.quantization,
    backend: run.method === 'full' ? undefined : () => Promise.resolve(backend),
  });
  const { method } = contenderNamed(run.method);
  const { parameters } = await applyMethod(asOpenedModel(folder, module), method, { ...run, task: undefined, seed: 1 });
  expect(cost.trainableParameters).toBe(parameters.reduce((total, { parameter }) => total + parameter.tensor.size, 0));
  const random = { seed: scalar(1, { dtype: 'u32' }), step: scalar(0, { dtype: 'u32' }) };
  const loss = taskLoss({ ...task, module });
  const step = await createTrainStep<string>({
    backend,
    loss: (inputs) => asTraining(random, undefined, () => loss(inputs)),
    random,
    parameters,
    checkpointing: run.checkpointing,
    optimizer: run.optimizer,
    clip: 1,
    arena: new Arena(backend),
  });
  await step.prepare(cost.microBatches);
  expect(cost.bytes.peak).toBe(backend.memory.bytes);
  backend.dispose();
});

test('an image has the positions of its model, whatever length is asked for', async () => {
  const config = await readJson(await openFolder(images), 'config.json');
  const run = plannedRun({ ...plain, maxLength: 5 }, { name: images, config });
  // 4 × 3 patches of 2 × 4 pixels, and the class token.
  expect([run.task?.task.name, run.maxLength]).toEqual(['image-classification', 13]);
});
