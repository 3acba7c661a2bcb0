import type { TensorEntry } from '@lowrank/safetensors';
import { expect, test } from 'vitest';
import { shardIndex, shardsOf } from './shards.js';

const entry = (name: string, length: number): TensorEntry => ({
  name,
  dtype: 'F32',
  shape: [length],
  data: new Uint8Array(4 * length),
});

test('tensors are distributed in order, groups whole, over files of a size', () => {
  const groups = [[entry('b', 10)], [entry('c', 10), entry('c.scales', 5)], [entry('a', 100)], [entry('d', 1)]];
  // c and its scales fill the first file to the byte.
  const shards = shardsOf(groups, 100);
  expect(shards.map(({ fileName, entries }) => [fileName, entries.map(({ name }) => name)])).toEqual([
    ['model-00001-of-00003.safetensors', ['b', 'c', 'c.scales']],
    ['model-00002-of-00003.safetensors', ['a']],
    ['model-00003-of-00003.safetensors', ['d']],
  ]);
  expect(JSON.parse(shardIndex(shards) ?? '')).toEqual({
    metadata: { total_size: 4 * 126 },
    weight_map: {
      a: 'model-00002-of-00003.safetensors',
      b: 'model-00001-of-00003.safetensors',
      c: 'model-00001-of-00003.safetensors',
      'c.scales': 'model-00001-of-00003.safetensors',
      d: 'model-00003-of-00003.safetensors',
    },
  });
});

test('what fits into one file has no index', () => {
  const shards = shardsOf([[entry('a', 1)], [entry('b', 1)]], Infinity);
  expect(shards.map(({ fileName }) => fileName)).toEqual(['model.safetensors']);
  expect(shardIndex(shards)).toBeUndefined();
});
