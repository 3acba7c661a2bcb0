import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Backend } from '@lowrank/tensor';
import { expect } from 'vitest';
import { evaluateTask } from '../../packages/lowrank/src/jobs/evaluateTask.js';
import { fineTuneFolder } from '../../packages/lowrank/src/jobs/fineTune.js';
import { scratch } from '../../packages/lowrank/src/testing.js';

const shared = fileURLToPath(new URL('../../../shared/', import.meta.url));
const model = `${shared}data/models/minilm`;

interface Golden {
  readonly steps: readonly { readonly loss: number; readonly grad_norm: number }[];
  readonly eval_before: { readonly loss: number; readonly accuracy: number };
  readonly eval_after: { readonly loss: number; readonly accuracy: number };
  readonly settings: { readonly lr: number; readonly max_grad_norm: number };
}

const lines = (path: string, count: number): string =>
  readFileSync(path, 'utf8').split('\n').slice(0, count).join('\n') + '\n';

/**
 * Twenty steps of MiniLM with LoRA and a head on sentiment, from the adapter that PEFT began: loss and gradient norm of
 * each step, and with all steps the evaluation before and after, within 1e-4 of PyTorch.
 */
export async function expectMinilmTrajectory(
  backend: Backend,
  name: 'golden' | 'golden-clip',
  { steps: count = 20 }: { readonly steps?: number } = {},
): Promise<void> {
  const home = `${shared}golden/minilm-sentiment`;
  const golden = JSON.parse(readFileSync(`${home}/${name}.json`, 'utf8')) as Golden;
  using folder = scratch();
  const [train, valid] = [join(folder.path, 'train.jsonl'), join(folder.path, 'valid.jsonl')];
  await writeFile(train, lines(`${shared}data/datasets/sentiment/train.jsonl`, 160));
  await writeFile(valid, lines(`${shared}data/datasets/sentiment/valid.jsonl`, 200));
  const steps: { loss: number; gradNorm: number }[] = [];
  const output = join(folder.path, 'adapter');
  const initial = `${home}/adapter-initial`;
  const evaluate = (adapter: string): ReturnType<typeof evaluateTask> =>
    evaluateTask({ backend, model, adapter, data: valid, task: 'text-classification', maxLength: 128 });
  // A software GPU takes half a minute for a step: what an evaluation is like, a few steps show too.
  const isWhole = count === 20;
  const before = isWhole ? await evaluate(initial) : undefined;
  await fineTuneFolder({
    backend,
    model,
    data: train,
    output,
    initAdapter: initial,
    steps: count,
    batchSize: 8,
    shuffle: false,
    maxLength: 128,
    learningRate: golden.settings.lr,
    clip: golden.settings.max_grad_norm,
    schedule: 'constant',
    weightDecay: 0,
    onEvent(event) {
      if (event.type === 'step') steps.push({ loss: event.loss, gradNorm: event.gradNorm });
    },
  });
  expect(steps.length).toBe(count);
  const off = golden.steps.slice(0, count).flatMap(({ loss, grad_norm: norm }, at) => {
    const got = steps[at];
    const isNear = Math.abs((got?.loss ?? NaN) - loss) < 1e-4 && Math.abs((got?.gradNorm ?? NaN) - norm) < 1e-4;
    return isNear ? [] : [{ step: at + 1, got, wanted: { loss, norm } }];
  });
  expect(off).toEqual([]);
  if (before === undefined) return;
  const after = await evaluate(output);
  for (const [got, wanted] of [
    [before, golden.eval_before],
    [after, golden.eval_after],
  ] as const) {
    expect(Math.abs(got.loss - wanted.loss)).toBeLessThan(1e-4);
    expect(got.scores['accuracy']).toBeCloseTo(wanted.accuracy, 10);
  }
}
