import { loraConfig } from '@lowrank/lora';
import { expect, test } from 'vitest';
import type { CheckpointTensor } from './merge.js';
import { mergedTensors } from './merge.js';
import { randomAdapter } from './testing.js';

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
  expect(merged.map(({ name, dtype, shape }) => [name, dtype, shape])).toEqual([['model.q.weight', 'F32', [6, 6]], ['model.q.bias', 'I8', [3]]]);
  expect(reads).toBe(0);
  expect(await merged[1]?.read()).toBe(other);
  const changed = new Float32Array((await merged[0]?.read())?.slice().buffer ?? new ArrayBuffer(0));
  const { a, b } = adapter.layers.get('model.q') ?? { a: [], b: [] };
  expect(changed[7]).toBeCloseTo(2 + (b[1] ?? NaN) * (a[1] ?? NaN), 6);
});

test('what does not fit is refused before anything is read', () => {
  expect(() => mergedTensors(checkpoint({ name: 'model.v.weight' }), adapter)).toThrow(/model\.q, which the model does not have/);
  expect(() => mergedTensors(checkpoint({ shape: [6, 5] }), adapter)).toThrow(/\[6, 6\].*\[6, 5\] for model\.q\.weight/);
  expect(() => mergedTensors(checkpoint({ dtype: 'U8' }), adapter)).toThrow(/F32, F16 or BF16.*U8/);
});
