import type { LoadOptions } from '@lowrank/models';
import { bytesSource } from '@lowrank/safetensors';
import { createWebgpuBackend } from '@lowrank/webgpu';
import { expect, test } from 'vitest';
import { fetchFile, fetchJson, fetchModel } from '../helpers/browserFiles';
import type { GoldenRow } from '../helpers/trajectory';
import { trainTrajectory, worstDifference } from '../helpers/trajectory';

interface Curve {
  readonly base_eval_loss: number;
  readonly adapter_eval_loss: number;
  readonly losses: number[];
  readonly grad_norms: number[];
}

interface Golden extends Curve {
  readonly steps: number;
  readonly batch_size: number;
  readonly lr: number;
  readonly schedule: 'constant';
  readonly clip: number;
}

interface GoldenOptions {
  readonly name: string;
  /** How many steps are trained; after all of them the evaluation's loss is compared too. */
  readonly steps: number;
  readonly quantized?: { readonly quantization: LoadOptions['quantization']; readonly expected: Curve };
}

async function expectGolden({ name, steps: count, quantized }: GoldenOptions): Promise<void> {
  const folder = `../shared/golden/${name}-e2e`;
  const golden = await fetchJson<Golden>(`${folder}/golden.json`);
  const rows = await fetchJson<GoldenRow[]>(`${folder}/tokens.json`);
  const expected = quantized?.expected ?? golden;
  const backend = await createWebgpuBackend();
  const { steps, before, after } = await trainTrajectory({
    backend,
    model: await fetchModel(`../shared/data/models/${name}`),
    quantization: quantized?.quantization,
    adapter: {
      config: await fetchJson(`${folder}/init/adapter_config.json`),
      weights: bytesSource(await fetchFile(`${folder}/init/adapter_model.safetensors`)),
    },
    rows: rows.slice(0, 300),
    evalRows: rows.slice(300),
    steps: count,
    batchSize: golden.batch_size,
    learningRate: golden.lr,
    schedule: golden.schedule,
    warmup: 0,
    weightDecay: 0,
    clip: golden.clip,
  });
  const losses = worstDifference(
    steps.map(({ loss }) => loss),
    expected.losses.slice(0, count),
  );
  const gradNorms = worstDifference(
    steps.map(({ gradNorm }) => gradNorm),
    expected.grad_norms.slice(0, count),
  );
  console.log(
    `${backend.description}: worst difference of a loss from PyTorch's ${losses.toExponential(1)}, of a ` +
      `gradient norm ${gradNorms.toExponential(1)}`,
  );
  expect(losses).toBeLessThan(1e-4);
  expect(gradNorms).toBeLessThan(1e-4);
  expect(worstDifference([before], [expected.base_eval_loss])).toBeLessThan(1e-4);
  if (count === golden.steps) {
    expect(worstDifference([after], [expected.adapter_eval_loss])).toBeLessThan(1e-4);
    expect(Math.abs(after - golden.adapter_eval_loss)).toBeLessThan(0.05);
  }
  backend.dispose();
}

test(
  '10 steps on stories260K through WebGPU in Chromium are PyTorch’s, step by step',
  () => expectGolden({ name: 'stories260K', steps: 10 }),
  1_200_000,
);

test('30 steps on stories3M in NF4 through WebGPU in Chromium are PyTorch’s over the dequantized weights', async () => {
  const { stories3M } = await fetchJson<{ stories3M: { nf4: Curve } }>('parity/golden/quantTrain.json');
  await expectGolden({
    name: 'stories3M',
    steps: 30,
    quantized: { quantization: { type: 'nf4' }, expected: stories3M.nf4 },
  });
}, 1_200_000);
