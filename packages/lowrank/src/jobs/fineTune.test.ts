import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createCpuBackend } from '@lowrank/cpu';
import { expect, test } from 'vitest';
import { forgiving } from '../metricsFile.js';
import { golden, scratch } from '../testing.js';
import { fineTuneFolder } from './fineTune.js';

test('stopped before the first step, nothing is saved, and an older adapter stays as it is', async () => {
  using place = scratch();
  const backend = await createCpuBackend();
  const run = { backend, model: join(golden, 'tied'), data: join(golden, 'train/rows.jsonl'), steps: 2, r: 2 };
  const output = join(place.path, 'adapter');
  await fineTuneFolder({ ...run, output });
  const weights = readFileSync(join(output, 'adapter_model.safetensors'));
  for (const folder of [output, join(place.path, 'new')]) {
    const result = await fineTuneFolder({ ...run, output: folder, r: 8, signal: AbortSignal.abort() });
    expect(result).toMatchObject({ steps: 0, interrupted: true, adapter: null, model: null, file_bytes: 0 });
  }
  expect(readFileSync(join(output, 'adapter_model.safetensors'))).toEqual(weights);
  expect(readdirSync(place.path)).toEqual(['adapter']);
  backend.dispose();
});

test('metrics that cannot be written cost a warning, not the run', async () => {
  using place = scratch();
  const warnings: string[] = [];
  const failing = forgiving(
    {
      write: () => Promise.reject(new Error('ENOSPC: no space left on device')),
      finish: () => Promise.reject(new Error('never reached')),
      discard: () => Promise.resolve(),
    },
    (text) => void warnings.push(text),
  );
  const line = { step: 1, loss: 1, grad_norm: 1, learning_rate: 1, tokens: 1, tokens_per_second: 1 };
  await failing.write(line);
  await failing.write(line);
  await failing.finish();
  expect(warnings).toEqual([
    'metrics.jsonl cannot be written (ENOSPC: no space left on device); the run goes on without it',
  ]);
  expect(readdirSync(place.path)).toEqual([]);
});
