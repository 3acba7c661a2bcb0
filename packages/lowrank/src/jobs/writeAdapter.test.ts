import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loraConfig } from '@lowrank/lora';
import { expect, test } from 'vitest';
import { scratch } from '../testing.js';
import { writeAdapter } from './writeAdapter.js';

const adapter = {
  config: loraConfig({ targetModules: ['q'], r: 1 }),
  layers: new Map([['q', { a: Float32Array.of(1, 2), b: Float32Array.of(3), rank: 1, inFeatures: 2, outFeatures: 1 }]]),
};

test('a folder of three files, and the bytes of its weights', async () => {
  using folder = scratch();
  const output = join(folder.path, 'new/adapter');
  const bytes = await writeAdapter(adapter, output, {});
  expect(readdirSync(output).sort()).toEqual(['README.md', 'adapter_config.json', 'adapter_model.safetensors']);
  expect(readFileSync(join(output, 'adapter_model.safetensors')).length).toBe(bytes);
});

test('an adapter that lies there is replaced only where that is meant', async () => {
  using folder = scratch();
  await writeAdapter(adapter, folder.path, {});
  await expect(writeAdapter(adapter, folder.path, {})).rejects.toThrow(
    expect.objectContaining({ code: 'output.taken' }),
  );
  await writeAdapter(adapter, folder.path, { overwrite: true });
  expect(readdirSync(folder.path)).toHaveLength(3);
});

test('what cannot be finished leaves no configuration, so no adapter', async () => {
  using folder = scratch();
  mkdirSync(join(folder.path, 'adapter_model.safetensors/taken'), { recursive: true });
  await expect(writeAdapter(adapter, folder.path, { overwrite: true })).rejects.toThrow(
    expect.objectContaining({ code: 'files.notWritten', got: 'a folder of that name' }),
  );
  expect(readdirSync(folder.path)).toEqual(['adapter_model.safetensors']);
});

test('a folder that is read from, and one that cannot be made', async () => {
  using folder = scratch();
  await expect(writeAdapter(adapter, folder.path, { inputs: [folder.path] })).rejects.toThrow(
    expect.objectContaining({ code: 'output.isInput' }),
  );
  await expect(writeAdapter(adapter, '/proc/none/adapter', {})).rejects.toThrow(
    expect.objectContaining({ code: 'output.notWritable' }),
  );
  expect(readdirSync(folder.path)).toEqual([]);
});
