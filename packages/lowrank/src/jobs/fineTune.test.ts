import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createCpuBackend } from '@lowrank/cpu';
import { expect, test } from 'vitest';
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
