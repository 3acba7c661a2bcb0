import { describe, expect, it } from 'vitest';
import { bytesSource } from './byteSource.js';
import type { SafetensorsFile } from './open.js';
import { openSharded } from './sharded.js';
import { complaint } from './testing.js';
import { serializeSafetensors } from './write.js';

const tensor = (name: string, value: number) => ({
  name,
  dtype: 'U8' as const,
  shape: [2],
  data: new Uint8Array(2).fill(value),
});
const shards: Record<string, Uint8Array> = {
  'm-1.safetensors': serializeSafetensors([tensor('a', 1), tensor('b', 2), tensor('extra', 9)], { format: 'pt' }),
  'm-2.safetensors': serializeSafetensors([tensor('b', 3), tensor('c', 4)], { format: 'pt' }),
};
const weights = { a: 'm-1.safetensors', b: 'm-2.safetensors', c: 'm-2.safetensors' };

function open(index: unknown): Promise<SafetensorsFile> {
  const text = typeof index === 'string' ? index : JSON.stringify(index);
  return openSharded({
    index: bytesSource(new TextEncoder().encode(text), 'model.safetensors.index.json'),
    shard: (fileName) => bytesSource(shards[fileName] ?? new Uint8Array(0), fileName),
  });
}

it('reads each tensor from the shard that the index names', async () => {
  const file = await open({ metadata: { total_size: 6 }, weight_map: weights });
  expect([...file.tensors.keys()].sort()).toEqual(['a', 'b', 'c', 'extra']);
  expect(file.tensors.get('b')?.file).toBe('m-2.safetensors');
  expect([
    ...(await file.read('a')),
    ...(await file.read('b')),
    ...(await file.readRange('c', 1, 2)),
    ...(await file.read('extra')),
  ]).toEqual([1, 1, 3, 3, 4, 9, 9]);
  expect(file.metadata).toEqual({ format: 'pt' });
  expect((await complaint(file.read('d'))).code).toBe('safetensors.noTensor');
});

describe('an index that is refused', () => {
  it.each([
    ['safetensors.index', 'no json'],
    ['safetensors.index', '[]'],
    ['safetensors.index', {}],
    ['safetensors.index', { weight_map: {} }],
    ['safetensors.index', { weight_map: ['a'] }],
    ['safetensors.index', '{"weight_map":{"a":"m-1.safetensors","a":"m-2.safetensors"}}'],
    ['files.unsafeName', { weight_map: { a: '../secret.safetensors' } }],
    ['files.unsafeName', { weight_map: { a: '/etc/passwd' } }],
    ['files.unsafeName', { weight_map: { a: 'c:x' } }],
    ['files.unsafeName', { weight_map: { a: 'x\\y' } }],
    ['files.unsafeName', { weight_map: { a: '..' } }],
    ['files.unsafeName', { weight_map: { a: '' } }],
    ['files.unsafeName', { weight_map: { a: 3 } }],
    ['safetensors.indexMismatch', { weight_map: { ...weights, d: 'm-1.safetensors' } }],
    ['safetensors.indexMismatch', { weight_map: { c: 'm-1.safetensors' } }],
    ['safetensors.tooShort', { weight_map: { a: 'm-3.safetensors' } }],
  ])('%s: %j', async (code, index) => {
    expect((await complaint(open(index))).code).toBe(code);
  });
});
