import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createCpuBackend } from '@lowrank/cpu';
import { expect, test } from 'vitest';
import { golden, scratch } from '../testing.js';
import { fineTuneFolder } from './fineTune.js';

test('a folder that holds an adapter is taken only where that is meant, and by one run at a time', async () => {
  using place = scratch();
  const backend = await createCpuBackend();
  const output = join(place.path, 'adapter');
  const data = join(golden, 'train/rows.jsonl');
  const run = { backend, model: join(golden, 'tied'), data, output, steps: 1, r: 2 };
  const [first, second] = await Promise.allSettled([fineTuneFolder(run), fineTuneFolder(run)]);
  const failed = [first, second].find(({ status }) => status === 'rejected') as PromiseRejectedResult;
  expect(failed.reason).toMatchObject({
    code: 'files.locked',
    got: expect.stringContaining(`process ${process.pid} on`) as string,
  });
  expect([first.status, second.status].sort()).toEqual(['fulfilled', 'rejected']);
  // The names of event files tell the second.
  const names = (): string[] => readdirSync(output).map((name) => name.replace(/tfevents.*/, 'tfevents'));
  const files = names();
  await expect(fineTuneFolder(run)).rejects.toMatchObject({ code: 'output.taken' });
  expect(names()).toEqual(files);
  await fineTuneFolder({ ...run, overwrite: true });
  expect(names()).toEqual(files);
  backend.dispose();
});

test('stopped before the first step, nothing is saved, and an older adapter stays as it is', async () => {
  using place = scratch();
  const backend = await createCpuBackend();
  const run = { backend, model: join(golden, 'tied'), data: join(golden, 'train/rows.jsonl'), steps: 2, r: 2 };
  const output = join(place.path, 'adapter');
  await fineTuneFolder({ ...run, output });
  const weights = readFileSync(join(output, 'adapter_model.safetensors'));
  for (const folder of [output, join(place.path, 'new')]) {
    const stopped = { ...run, output: folder, r: 8, signal: AbortSignal.abort() };
    const result = await fineTuneFolder({ ...stopped, overwrite: true });
    expect(result).toMatchObject({ steps: 0, interrupted: true, adapter: null, model: null, file_bytes: 0 });
  }
  expect(readFileSync(join(output, 'adapter_model.safetensors'))).toEqual(weights);
  expect(readdirSync(place.path)).toEqual(['adapter']);
  backend.dispose();
});
