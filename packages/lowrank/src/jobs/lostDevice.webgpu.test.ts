import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Backend } from '@lowrank/tensor';
import { createWebgpuBackend } from '@lowrank/webgpu';
import type { WebgpuBackend } from '@lowrank/webgpu';
import { afterEach, expect, test } from 'vitest';
import { golden, readLines, scratch } from '../testing.js';
import { fineTuneFolder } from './fineTune.js';
import type { FineTuneEvent, FineTuneFolderOptions } from './fineTuneOptions.js';

let opened: WebgpuBackend[] = [];
afterEach(() => {
  for (const backend of opened) backend.dispose();
  opened = [];
});

const open = async (): Promise<Backend> => {
  const backend = await createWebgpuBackend({ limits: 'default' });
  opened.push(backend);
  return backend;
};

const lossesOf = (folder: string): unknown[] =>
  readLines<{ step: number; loss: number }>(join(folder, 'metrics.jsonl')).map(({ step, loss }) => [step, loss]);

test('a run whose device is lost goes on with another one, and ends as the undisturbed run, bit for bit', async () => {
  using place = scratch();
  const [whole, output] = [join(place.path, 'whole'), join(place.path, 'lost')];
  const common: Omit<FineTuneFolderOptions, 'output'> = {
    backend: open,
    model: join(golden, 'tied'),
    data: join(golden, 'train/rows.jsonl'),
    r: 2,
    targetModules: ['q_proj'],
    dropout: 0.2,
    batchSize: 2,
    steps: 7,
    learningRate: 5e-3,
    saveEvery: 2,
  };
  await fineTuneFolder({ ...common, output: whole });
  const lost: unknown[] = [];
  // At any step after the first checkpoint.
  const at = [3 + Math.floor(Math.random() * 4)];
  const onEvent = (event: FineTuneEvent): void => {
    if (event.type === 'deviceLost') lost.push(event.step, event.message);
    if (event.type !== 'step' || event.step !== at[0]) return;
    at.shift();
    opened.at(-1)?.device.gpu.destroy();
  };
  const result = await fineTuneFolder({ ...common, output, onEvent });
  expect(opened).toHaveLength(3);
  const reason = expect.stringMatching(/^the WebGPU device was lost: /) as string;
  expect(lost).toEqual([result.resumed_from, reason]);
  expect(result).toMatchObject({ steps: 7, stopped_by: 'steps' });
  const weights = 'adapter_model.safetensors';
  expect(readFileSync(join(output, weights))).toEqual(readFileSync(join(whole, weights)));
  expect(lossesOf(output)).toEqual(lossesOf(whole));
});
