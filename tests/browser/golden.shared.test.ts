import { bytesSource } from '@lowrank/safetensors';
import { createWebgpuBackend } from '@lowrank/webgpu';
import { expect, test } from 'vitest';
import { fetchFile, fetchJson, fetchModel } from '../helpers/browserFiles';
import type { GoldenRow } from '../helpers/trajectory';
import { trainTrajectory, worstDifference } from '../helpers/trajectory';

interface Golden {
  readonly base_eval_loss: number;
  readonly adapter_eval_loss: number;
  readonly steps: number;
  readonly batch_size: number;
  readonly lr: number;
  readonly schedule: 'constant';
  readonly clip: number;
  readonly losses: number[];
  readonly grad_norms: number[];
}

test('30 steps on stories260K through WebGPU in Chromium are PyTorch’s, step by step', async () => {
  const folder = '../shared/golden/stories260K-e2e';
  const golden = await fetchJson<Golden>(`${folder}/golden.json`);
  const rows = await fetchJson<GoldenRow[]>(`${folder}/tokens.json`);
  const backend = await createWebgpuBackend();
  const { steps, before, after } = await trainTrajectory({
    backend,
    model: await fetchModel('../shared/data/models/stories260K'),
    adapter: { config: await fetchJson(`${folder}/init/adapter_config.json`), weights: bytesSource(await fetchFile(`${folder}/init/adapter_model.safetensors`)) },
    rows: rows.slice(0, 300),
    evalRows: rows.slice(300),
    steps: golden.steps,
    batchSize: golden.batch_size,
    learningRate: golden.lr,
    schedule: golden.schedule,
    warmup: 0,
    weightDecay: 0,
    clip: golden.clip,
  });
  const losses = worstDifference(steps.map(({ loss }) => loss), golden.losses);
  const gradNorms = worstDifference(steps.map(({ gradNorm }) => gradNorm), golden.grad_norms);
  console.log(`${backend.description}: worst difference of a loss from PyTorch's ${losses.toExponential(1)}, of a gradient norm ${gradNorms.toExponential(1)}`);
  expect(losses).toBeLessThan(1e-4);
  expect(gradNorms).toBeLessThan(1e-4);
  expect(worstDifference([before, after], [golden.base_eval_loss, golden.adapter_eval_loss])).toBeLessThan(1e-4);
  backend.dispose();
}, 900_000);
