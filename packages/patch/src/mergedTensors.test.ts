import { loraConfig } from '@lowrank/lora';
import { expect, test } from 'vitest';
import type { CheckpointTensor } from './mergedTensors.js';
import { mergedTensors } from './mergedTensors.js';
import { loadAdapter } from './loadAdapter.js';
import { randomAdapter, TinyModel } from './testing.js';

const adapter = randomAdapter(loraConfig({ targetModules: ['q'], r: 1 }), ['model.q']);
const bytes = new Uint8Array(new Float32Array(36).fill(2).buffer);
const other = Uint8Array.of(1, 2, 3);

function checkpoint(over: Partial<CheckpointTensor> = {}): CheckpointTensor[] {
  return [
    { name: 'model.q.weight', dtype: 'F32', shape: [6, 6], read: () => Promise.resolve(bytes), ...over },
    { name: 'model.q.bias', dtype: 'I8', shape: [3], read: () => Promise.resolve(other) },
  ];
}

test('adapted weights change, all else keeps its bytes and its place; nothing is read until asked for', async () => {
  let reads = 0;
  const merged = mergedTensors(checkpoint({ read: () => Promise.resolve((reads++, bytes)) }), adapter);
  expect(merged.map(({ name, dtype, shape }) => [name, dtype, shape])).toEqual([
    ['model.q.weight', 'F32', [6, 6]],
    ['model.q.bias', 'I8', [3]],
  ]);
  expect(reads).toBe(0);
  expect(await merged[1]?.read()).toBe(other);
  const changed = new Float32Array((await merged[0]?.read())?.slice().buffer ?? new ArrayBuffer(0));
  const { a, b } = adapter.layers.get('model.q') ?? { a: [], b: [] };
  expect(changed[7]).toBeCloseTo(2 + (b[1] ?? NaN) * (a[1] ?? NaN), 6);
});

test('what does not fit is refused before anything is read', () => {
  expect(() => mergedTensors(checkpoint({ name: 'model.v.weight' }), adapter)).toThrow(
    /model\.q, which the model does not have/,
  );
  expect(() => mergedTensors(checkpoint({ shape: [6, 5] }), adapter)).toThrow(
    /\[6, 6\].*\[6, 5\] for model\.q\.weight/,
  );
  expect(() => mergedTensors(checkpoint({ dtype: 'U8' }), adapter)).toThrow(/F32, F16 or BF16.*U8/);
});

const square = randomAdapter(loraConfig({ targetModules: ['q'], r: 1, fanInFanOut: true }), ['model.q']);
const matrices = { a: Float32Array.of(1, 2), b: Float32Array.of(10, 20, 30), rank: 1, inFeatures: 2, outFeatures: 3 };
const wide = { ...adapter, layers: new Map([['model.q', matrices]]) };

async function mergedInto(tensor: Partial<CheckpointTensor>, given = adapter): Promise<number[]> {
  const [merged] = mergedTensors(
    checkpoint({ read: () => Promise.resolve(new Uint8Array(new Float32Array(36).buffer)), ...tensor }),
    given,
  );
  return [...new Float32Array((await merged?.read())?.slice().buffer ?? new ArrayBuffer(0))];
}

test('W [in, out] gets ΔW transposed: by its shape, or as the adapter says where W is square', async () => {
  const read = (): Promise<Uint8Array> => Promise.resolve(new Uint8Array(new Float32Array(6).buffer));
  expect(await mergedInto({ shape: [3, 2], read }, wide)).toEqual([10, 20, 20, 40, 30, 60]);
  expect(await mergedInto({ shape: [2, 3], read }, wide)).toEqual([10, 20, 30, 20, 40, 60]);
  const [plain, transposed] = [
    await mergedInto({}, { ...square, config: adapter.config }),
    await mergedInto({}, square),
  ];
  expect(plain).not.toEqual(transposed);
  expect(plain).toEqual(plain.map((_, at) => transposed[(at % 6) * 6 + Math.floor(at / 6)]));
});

test('tensors saved whole have no place in a merge', async () => {
  const whole = new Map([['score.weight', { dtype: 'F32' as const, shape: [1], data: new Uint8Array(4) }]]);
  expect(() => mergedTensors(checkpoint(), { ...adapter, whole })).toThrow(/score\.weight, saved whole/);
  await expect(loadAdapter(new TinyModel(), { ...adapter, whole })).rejects.toThrow(
    /score\.weight: saved whole, which this model has no place for/,
  );
});
