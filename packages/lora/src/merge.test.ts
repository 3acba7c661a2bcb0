import { readFile } from 'node:fs/promises';
import { fileSource, openSafetensors } from '@lowrank/safetensors';
import { fromNumbers, toFloat32 } from '@lowrank/tensor';
import { describe, expect, test } from 'vitest';
import { scalingAt } from './config.js';
import type { MergeDtype } from './merge.js';
import { mergeWeight } from './merge.js';
import { goldenAdapter, goldenRoot } from './testing.js';

const { merges } = JSON.parse(await readFile(`${goldenRoot}merged/merged.json`, 'utf8')) as { merges: Record<string, { base: string; adapter: string; merged: string }> };

describe.each(Object.entries(merges))('%s as PEFT merges it', (_, { base, adapter, merged }) => {
  test('every byte', async () => {
    const { config, layers } = await goldenAdapter(adapter.replace('adapters/', ''));
    const before = await openSafetensors(fileSource(`${goldenRoot}${base}/model.safetensors`));
    const after = await openSafetensors(fileSource(`${goldenRoot}${merged}`));
    for (const [path, matrices] of layers) {
      const name = `${path}.weight`;
      const { dtype = 'F32' } = before.tensors.get(name) ?? {};
      const result = mergeWeight(await before.read(name), dtype as MergeDtype, { ...matrices, scaling: scalingAt(config, path) });
      expect([name, Buffer.compare(result, await after.read(name))]).toEqual([name, 0]);
    }
  });
});

const bytesOf = (values: number[], dtype: 'f16' | 'bf16' | 'f32'): Uint8Array => new Uint8Array(fromNumbers(values, dtype).buffer);
const update = { a: Float32Array.of(1, 2), b: Float32Array.of(3, -1), rank: 1, scaling: 0.5 };

test('W + s·B·A, and W itself is not touched', () => {
  const weight = bytesOf([1, 1, 1, 1], 'f32');
  const kept = weight.slice();
  expect(new Float32Array(mergeWeight(weight, 'F32', update).slice().buffer)).toEqual(Float32Array.of(2.5, 4, 0.5, 0));
  expect(weight).toEqual(kept);
});

test('bytes out of the middle of a Buffer', () => {
  const pool = Buffer.alloc(21);
  pool.set(bytesOf([1, 1, 1, 1], 'bf16'), 5);
  const merged = mergeWeight(pool.subarray(5, 13), 'BF16', update);
  expect(toFloat32(new Uint16Array(merged.slice().buffer), 'bf16')).toEqual(Float32Array.of(2.5, 4, 0.5, 0));
  expect(pool.subarray(5, 13)).toEqual(Buffer.from(bytesOf([1, 1, 1, 1], 'bf16')));
});

test.each<[string, Partial<typeof update>]>([
  ['NaN in A', { a: Float32Array.of(NaN, 0) }],
  ['infinity in B', { b: Float32Array.of(0, Infinity) }],
  ['a scaling of NaN', { scaling: NaN }],
])('%s is refused', (_, wrong) => {
  expect(() => mergeWeight(bytesOf([1, 1, 1, 1], 'f32'), 'F32', { ...update, ...wrong })).toThrow(/merged weight at \[\d, \d\]/);
});

test('a sum too large for the dtype is refused', () => {
  expect(() => mergeWeight(bytesOf([0, 0, 0, 0], 'f16'), 'F16', { ...update, scaling: 40_000 })).toThrow(/finite number in F16/);
});
