import type { TrainedParameter } from '@lowrank/nn';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { EncodedRow, TokenBatch } from '@lowrank/data';
import { loadDataset, packBatch, readTokenizer } from '@lowrank/data';
import { readAdapter } from '@lowrank/lora';
import type { CausalModel } from '@lowrank/models';
import { loadCausalModel, openFolder, readJson, requireFile } from '@lowrank/models';
import { loadAdapter, saveAdapter } from '@lowrank/patch';
import type { Backend } from '@lowrank/tensor';
import { readTensor } from '@lowrank/tensor';
import type { TrainStepOptions } from '@lowrank/trainer';
import { createTrainStep, learningRateAt } from '@lowrank/trainer';
import { fileSource, openSafetensors } from '@lowrank/safetensors';
import { expect } from 'vitest';

export const llamaFolder = fileURLToPath(new URL('../../parity/golden/llama/', import.meta.url));

export type Method = 'lora' | 'full';

interface TrainGolden {
  recipe: {
    steps: number;
    batchSize: number;
    warmup: number;
    clip: number;
    schedule: 'linear';
    learningRate: number;
    weightDecay: number;
  };
  losses: number[];
  gradNorms: number[];
  learningRates: number[];
  tokens: number[];
}

export async function trainGolden(method: Method): Promise<TrainGolden> {
  return JSON.parse(await readFile(`${llamaFolder}train/${method}.json`, 'utf8')) as TrainGolden;
}

export async function trainRows(): Promise<readonly EncodedRow[]> {
  const { rows } = await loadDataset(
    await readFile(`${llamaFolder}train/rows.jsonl`, 'utf8'),
    await readTokenizer(`${llamaFolder}tied`),
    {},
  );
  return rows;
}

/** Rows of step k in file order, wrapping. */
export function windowRows(rows: readonly EncodedRow[], step: number, size: number): EncodedRow[] {
  return Array.from({ length: size }, (_, i) => rows[(step * size + i) % rows.length]).flatMap((row) => row ?? []);
}

/** The tiny golden model, with PEFT's initial adapter or with all its weights to be trained. */
export async function openTrainee(
  method: Method,
): Promise<{ model: CausalModel; parameters: readonly TrainedParameter[] }> {
  const model = await loadCausalModel(await openFolder(`${llamaFolder}tied`));
  if (method === 'full')
    return { model, parameters: [...model.namedParameters()].map(([name, parameter]) => ({ name, parameter })) };
  const files = await openFolder(`${llamaFolder}train/lora/init`);
  const adapter = await readAdapter({
    config: await readJson(files, 'adapter_config.json'),
    weights: await requireFile(files, 'adapter_model.safetensors'),
    name: files.name,
  });
  return { model, parameters: (await loadAdapter(model, adapter)).parameters };
}

export interface TrajectoryOptions {
  backend: Backend;
  method: Method;
  /** How a step's rows become batches. */
  layout?: (rows: readonly EncodedRow[]) => TokenBatch[];
  step?: Partial<TrainStepOptions>;
}

function near(got: number | undefined, want: number | undefined, tolerance: number): void {
  expect(Math.abs((got ?? NaN) / (want ?? NaN) - 1)).toBeLessThan(tolerance);
}

/**
 * Trains the golden's twelve steps and compares each loss and gradient norm with transformers + PEFT, then the trained
 * weights.
 */
export async function expectTrainGolden({
  backend,
  method,
  layout = (rows) => [packBatch(rows)],
  step: options = {},
}: TrajectoryOptions): Promise<void> {
  const golden = await trainGolden(method);
  const { steps, batchSize, warmup, clip, weightDecay } = golden.recipe;
  const { model, parameters } = await openTrainee(method);
  const rows = await trainRows();
  const step = await createTrainStep({
    backend,
    loss: (batch) => model.loss(batch),
    parameters,
    clip,
    weightDecay,
    ...options,
  });
  for (let at = 0; at < steps; at++) {
    const rate = learningRateAt(at + 1, {
      schedule: 'linear',
      learningRate: Math.max(...golden.learningRates),
      warmup,
      steps,
    });
    near(rate + 1e-9, (golden.learningRates[at] ?? NaN) + 1e-9, 1e-6);
    const window = layout(windowRows(rows, at, batchSize));
    const { loss, gradNorm } = await step.run(window, rate);
    near(await loss, golden.losses[at], 1e-4);
    near(await gradNorm, golden.gradNorms[at], 1e-4);
  }
  await expectFinalWeights(model, method);
  await step.dispose({ weights: true });
  model.dispose();
}

async function expectFinalWeights(model: CausalModel, method: Method): Promise<void> {
  const path =
    method === 'lora'
      ? `${llamaFolder}train/lora/final/adapter_model.safetensors`
      : `${llamaFolder}train/full/model.safetensors`;
  const file = await openSafetensors(fileSource(path));
  const trained = new Map<string, ArrayLike<number>>();
  if (method === 'lora') {
    const { layers } = await saveAdapter(model);
    for (const [name, { a, b }] of layers) {
      trained.set(`base_model.model.${name}.lora_A.weight`, a);
      trained.set(`base_model.model.${name}.lora_B.weight`, b);
    }
  } else for (const [name, { tensor }] of model.namedParameters()) trained.set(name, await readTensor(tensor));
  for (const key of file.tensors.keys()) {
    const want = new Float32Array((await file.read(key)).slice().buffer);
    const got = trained.get(key);
    expect(got?.length).toBe(want.length);
    // Adam divides by √v: where a gradient is nearly zero its rounding decides, so single elements are bounded by a
    // fraction of the steps taken.
    const error = want.reduce((total, value, at) => total + (value - (got?.[at] ?? NaN)) ** 2, 0);
    const size = want.reduce((total, value) => total + value * value, 0);
    expect(Math.sqrt(error / size)).toBeLessThan(2e-3);
  }
}
