import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createCpuBackend } from '@lowrank/cpu';
import type { Backend } from '@lowrank/tensor';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { golden, readLines, scratch } from '../testing.js';
import { fineTune } from './fineTune.js';
import type { FineTuneOptions } from './fineTuneOptions.js';
import { loadModel } from './loadModel.js';
import type { Run } from './run.js';

let backend: Backend;
beforeAll(async () => void (backend = await createCpuBackend()));
afterAll(() => backend.dispose());

const rows = readLines<object>(join(golden, 'train/rows.jsonl'));
const common = { data: rows, r: 2, dropout: 0.2, batchSize: 2, steps: 6, saveEvery: 2, learningRate: 5e-3 } as const;

/** A model of its own, as a page has one after it was loaded again. */
async function train(part: Partial<FineTuneOptions>, nf4 = false): Promise<Run> {
  const model = await loadModel(join(golden, 'tied'), { device: backend, quantization: nf4 ? 'nf4' : undefined });
  return fineTune(model, { ...common, ...part });
}

const losses = (output: string): unknown[] =>
  readLines<{ loss: number }>(join(output, 'metrics.jsonl')).map(({ loss }) => loss);

const weights = (output: string): Buffer => readFileSync(join(output, 'adapter_model.safetensors'));

test('a run with a folder goes on after it was cut off, to the same bits', async () => {
  using place = scratch();
  const [whole, output] = [join(place.path, 'whole'), join(place.path, 'cut')];
  await train({ output: whole });
  const cut = train({
    output,
    onStep({ step }) {
      if (step === 5) throw new Error('the tab was closed');
    },
  });
  await expect(cut).rejects.toThrow('the tab was closed');
  const resumed: unknown[] = [];
  const events: FineTuneOptions['onEvent'] = (event) => event.type === 'resumed' && resumed.push(event);
  const run = await train({ output, onEvent: events });
  expect(resumed).toEqual([{ type: 'resumed', folder: output, step: 4 }]);
  expect(run.steps).toBe(6);
  expect(losses(output)).toEqual(losses(whole));
  expect(weights(output)).toEqual(weights(whole));
  await expect(train({ output })).rejects.toMatchObject({ code: 'output.taken' });
  const further = await train({ output, resume: true, steps: 8 });
  expect(further.steps).toBe(8);
});

test('other rows, settings or a base in codes are no way to go on; options of a folder need one', async () => {
  using place = scratch();
  const output = join(place.path, 'run');
  await train({ output, steps: 2 });
  const on = { output, resume: true, steps: 4 };
  await expect(train({ ...on, data: rows.slice(1) })).rejects.toMatchObject({ code: 'run.input' });
  await expect(train({ ...on, r: 4 })).rejects.toMatchObject({ code: 'run.changed' });
  await expect(train(on, true)).rejects.toThrow('quantization of a run that goes on');
  await expect(train({ resume: true })).rejects.toThrow('resume');
  await expect(train({ output: join(place.path, 'none'), resume: true })).rejects.toMatchObject({
    code: 'run.nothingToResume',
  });
});
