import { createCpuBackend } from '@lowrank/cpu';
import { serializeAdapter } from '@lowrank/lora';
import { openFolder, readJson } from '@lowrank/models';
import { saveAdapter } from '@lowrank/patch';
import { scalar } from '@lowrank/tensor';
import { Arena } from '@lowrank/tensor/backend';
import type { Backend } from '@lowrank/tensor';
import { createTrainStep } from '@lowrank/trainer';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { golden } from '../../testing.js';
import { commonConfigs } from './commonConfigs.js';
import { openModel } from '../openModel.js';
import type { PlanDevice } from './planDevice.js';
import { planDevice } from './planDevice.js';
import type { PlannedRun } from './planRun.js';
import { planRun } from './planRun.js';
import { applyMethod } from '../methodRun.js';

const plain: Omit<PlannedRun, 'config' | 'name'> = {
  method: 'lora',
  r: 3,
  batchSize: 2,
  gradientAccumulation: 1,
  maxLength: 40,
  packing: true,
  checkpointing: false,
  optimizer: 'adamw',
  dtype: 'f32',
};
const deviceOf = ({ name, spec }: Backend): PlanDevice => ({ name, spec, memoryBytes: undefined });

const runs: Readonly<Record<string, Omit<PlannedRun, 'config' | 'name'>>> = {
  LoRA: plain,
  'LoRA, checkpointed, padded, with dropout': {
    ...plain,
    checkpointing: true,
    packing: false,
    dropout: 0.1,
    targetModules: ['all-linear'],
  },
  'LoRA, accumulated': { ...plain, checkpointing: true, gradientAccumulation: 3 },
  QLoRA: { ...plain, method: 'qlora', quantization: { type: 'nf4', doubleQuantization: true }, checkpointing: true },
  'QLoRA, int8': { ...plain, method: 'qlora', quantization: { type: 'int8' } },
  'every weight': { ...plain, method: 'full', checkpointing: true },
  'every weight, 8-bit moments': { ...plain, method: 'full', optimizer: 'adamw8bit' },
};

test.each(Object.keys(runs))('%s: the bytes that the plan tells are those that the run allocates', async (title) => {
  const folder = join(golden, 'tied');
  const run: PlannedRun = {
    ...(runs[title] ?? plain),
    config: await readJson(await openFolder(folder), 'config.json'),
    name: folder,
  };
  const backend = await createCpuBackend({ threads: 1 });
  const cost = await planRun(run, deviceOf(backend));
  expect(backend.memory.buffers).toBe(0);

  const { quantization } = run;
  const model = await openModel(folder, {
    quantization: quantization?.type,
    doubleQuantization: quantization?.doubleQuantization,
    backend: run.method === 'full' ? undefined : () => Promise.resolve(backend),
  });
  const trainable = await applyMethod(model, run.method === 'full' ? 'full' : 'lora', { ...run, seed: 1 });
  const random = { seed: scalar(1, { dtype: 'u32' }), step: scalar(0, { dtype: 'u32' }) };
  const step = await createTrainStep({
    backend,
    loss: model.trainingLoss(random),
    random,
    parameters: trainable.parameters,
    checkpointing: run.checkpointing,
    optimizer: run.optimizer,
    clip: 1,
    arena: new Arena(backend),
  });
  await step.prepare(cost.microBatches);
  expect(cost.bytes.peak).toBe(backend.memory.bytes);
  expect(backend.memory.peakBytes).toBe(backend.memory.bytes);
  const { peak, ...parts } = cost.bytes;
  expect(Object.values(parts).reduce((total, bytes) => total + bytes, 0)).toBe(peak);
  expect(cost.trainableParameters).toBe(
    trainable.parameters.reduce((total, { parameter }) => total + parameter.tensor.size, 0),
  );
  if (run.method !== 'full') {
    const adapter = await saveAdapter(model.module);
    for (const [dtype, bytes] of [
      ['F32', cost.file.bits32],
      ['BF16', cost.file.bits16],
    ] as const)
      expect(serializeAdapter(adapter, { dtype })['adapter_model.safetensors']?.byteLength).toBe(bytes);
  }
  backend.dispose();
});

const large = (name: string, over: Partial<PlannedRun>): PlannedRun => ({
  ...plain,
  config: commonConfigs[name] ?? {},
  name,
  r: 8,
  targetModules: ['q_proj', 'v_proj'],
  dtype: 'bf16',
  batchSize: 1,
  maxLength: 512,
  ...over,
});

test('the published numbers: parameters of common models, and of LoRA on them', async () => {
  const gpu = await planDevice('auto');
  const published = {
    'SmolLM2-135M': 134_515_008,
    'SmolLM2-360M': 361_821_120,
    'SmolLM2-1.7B': 1_711_376_384,
    'Qwen2.5-0.5B': 494_032_768,
    'Qwen2.5-1.5B': 1_543_714_304,
    'Qwen2.5-3B': 3_085_938_688,
    'Qwen2.5-7B': 7_615_616_512,
    'Llama-3.2-1B': 1_235_814_400,
    'Llama-3.2-3B': 3_212_749_824,
    'Llama-3.1-8B': 8_030_261_248,
    'LLaMA-7B': 6_738_415_616,
  };
  expect(Object.keys(commonConfigs)).toEqual([...Object.keys(published), 'GPT-3-shape']);
  for (const [name, parameters] of Object.entries(published))
    expect([name, (await planRun(large(name, { checkpointing: true }), gpu)).parameters]).toEqual([name, parameters]);

  const llama = await planRun(large('LLaMA-7B', {}), gpu);
  expect(llama.trainableParameters).toBe(4_194_304);
  expect(Math.round(llama.file.bits16 / 2 ** 20)).toBe(8);
  expect((await planRun(large('GPT-3-shape', { r: 1 }), gpu)).trainableParameters).toBe(4_718_592);
  expect((await planRun(large('GPT-3-shape', { r: 8, checkpointing: true }), gpu)).trainableParameters).toBe(
    37_748_736,
  );
});

test(
  'LLaMA-7B: QLoRA saves more than half of what LoRA over 16 bits needs, with and without ' + 'checkpointing',
  async () => {
    const gpu = await planDevice('auto');
    const quantization = { type: 'nf4', doubleQuantization: true } as const;
    for (const checkpointing of [false, true]) {
      const [lora, qlora] = [
        await planRun(large('LLaMA-7B', { checkpointing }), gpu),
        await planRun(large('LLaMA-7B', { checkpointing, method: 'qlora', quantization }), gpu),
      ];
      expect(qlora.bytes.peak).toBeLessThan((checkpointing ? 0.35 : 0.45) * lora.bytes.peak);
      // 4.127 bits for each weight of the linear layers; embedding and output projection keep their 16.
      const linear = 32 * (4 * 4096 * 4096 + 3 * 4096 * 11_008);
      expect(qlora.bytes.quantized / (linear / 2)).toBeCloseTo(1.0318, 3);
      // Which launches share buffers differs: codes are more operands than a matrix in 16 bits.
      expect(Math.abs(qlora.bytes.activations / lora.bytes.activations - 1)).toBeLessThan(0.05);
      expect(qlora.flops).toBe(lora.flops);
    }
  },
);

// Processor time, which a full machine leaves as it is: a pass that is quadratic in the plan takes minutes.
test('planning 7B takes seconds', async () => {
  const gpu = await planDevice('auto');
  const before = process.cpuUsage();
  await planRun(large('LLaMA-7B', { checkpointing: true, targetModules: ['all-linear'] }), gpu);
  expect(process.cpuUsage(before).user / 1e6).toBeLessThan(30);
}, 120_000);
