import { readFile } from 'node:fs/promises';
import { fileSource, openSafetensors } from '@lowrank/safetensors';
import { fromNumbers, toFloat32 } from '@lowrank/tensor';
import { describe, expect, test } from 'vitest';
import { scalingAt } from '../scaling.js';
import type { MergeDtype } from './merge.js';
import { mergeWeight } from './merge.js';
import { goldenAdapter, goldenRoot, gptRoot } from '../testing.js';

interface Merge {
  readonly base: string;
  readonly adapter: string;
  readonly merged: string;
}

const mergesOf = async (root: string): Promise<Record<string, Merge>> =>
  (JSON.parse(await readFile(`${root}merged/merged.json`, 'utf8')) as { merges: Record<string, Merge> }).merges;
const cases = [
  ...Object.entries(await mergesOf(goldenRoot)).map(([name, merge]) => ({
    name,
    root: goldenRoot,
    transposed: false,
    ...merge,
  })),
  ...Object.entries(await mergesOf(gptRoot)).map(([name, merge]) => ({
    name: `Conv1D in ${name}`,
    root: gptRoot,
    transposed: true,
    ...merge,
  })),
];

describe.each(cases)('$name as PEFT merges it', ({ root, transposed, base, adapter, merged }) => {
  test('every byte', async () => {
    const { config, layers } = await goldenAdapter(adapter.replace('adapters/', ''), root);
    const before = await openSafetensors(fileSource(`${root}${base}/model.safetensors`));
    const after = await openSafetensors(fileSource(`${root}${merged}`));
    for (const [path, matrices] of layers) {
      const name = `${path}.weight`;
      const { dtype = 'F32' } = before.tensors.get(name) ?? {};
      const result = mergeWeight(await before.read(name), dtype as MergeDtype, {
        ...matrices,
        scaling: scalingAt(config, path),
        transposed,
      });
      expect([name, Buffer.compare(result, await after.read(name))]).toEqual([name, 0]);
    }
  });
});

const bytesOf = (values: number[], dtype: 'f16' | 'bf16' | 'f32'): Uint8Array =>
  new Uint8Array(fromNumbers(values, dtype).buffer);
const update = { a: Float32Array.of(1, 2), b: Float32Array.of(3, -1), rank: 1, scaling: 0.5 };

test('W + s·B·A, and W itself is not touched', () => {
  const weight = bytesOf([1, 1, 1, 1], 'f32');
  const kept = weight.slice();
  expect(new Float32Array(mergeWeight(weight, 'F32', update).slice().buffer)).toEqual(Float32Array.of(2.5, 4, 0.5, 0));
  expect(weight).toEqual(kept);
});

test('W [in, out] gets ΔW transposed, and an error says where in W', () => {
  const weight = bytesOf([1, 1, 1, 1], 'f32');
  expect(new Float32Array(mergeWeight(weight, 'F32', { ...update, transposed: true }).slice().buffer)).toEqual(
    Float32Array.of(2.5, 0.5, 4, 0),
  );
  expect(() => mergeWeight(weight, 'F32', { ...update, b: Float32Array.of(0, Infinity), transposed: true })).toThrow(
    /merged weight at \[0, 1\]/,
  );
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
  expect(() => mergeWeight(bytesOf([1, 1, 1, 1], 'f32'), 'F32', { ...update, ...wrong })).toThrow(
    /merged weight at \[\d, \d\]/,
  );
});

test('a sum too large for the dtype is refused', () => {
  expect(() => mergeWeight(bytesOf([0, 0, 0, 0], 'f16'), 'F16', { ...update, scaling: 40_000 })).toThrow(
    /finite number in F16/,
  );
});
