import { describe, expect, it } from 'vitest';
import { blobSource, bytesSource } from './byteSource.js';
import { openSafetensors } from './open.js';
import { complaint } from './testing.js';
import { serializeSafetensors } from './write.js';

const bytes = Uint8Array.from({ length: 100 }, (_, i) => i);

describe.each([
  ['bytesSource', bytesSource(bytes.subarray(10, 60), 'part')],
  ['blobSource', blobSource(new Blob([bytes.subarray(10, 60)]), 'part')],
])('%s', (_, source) => {
  it('reads the range asked for', async () => {
    expect(await source.size()).toBe(50);
    expect([...(await source.read(3, 6))]).toEqual([13, 14, 15]);
    expect(await source.read(50, 50)).toHaveLength(0);
  });

  it.each([
    [0, 51],
    [-1, 3],
    [4, 3],
    [0.5, 3],
    [NaN, 3],
    [0, Infinity],
  ])('refuses the range %d to %d', async (start, end) => {
    expect((await complaint(source.read(start, end))).code).toBe('safetensors.range');
  });
});

it('a picked File is known by its name', () => {
  expect(blobSource(new File([], 'adapter_model.safetensors')).name).toBe('adapter_model.safetensors');
});

it('only the header and the ranges asked for are read', async () => {
  const file = serializeSafetensors([
    { name: 'a', dtype: 'F32', shape: [1000], data: new Uint8Array(4000).fill(1) },
    { name: 'b', dtype: 'F32', shape: [1000], data: new Uint8Array(4000).fill(2) },
  ]);
  const inner = bytesSource(file);
  const reads: [number, number][] = [];
  const opened = await openSafetensors({
    ...inner,
    read: (start, end) => (reads.push([start, end]), inner.read(start, end)),
  });
  const data = file.length - 8000;
  expect(reads).toEqual([
    [0, 8],
    [8, data],
  ]);
  await opened.readRange('b', 400, 404);
  expect(reads.at(-1)).toEqual([data + 4400, data + 4404]);
  expect((await complaint(opened.readRange('a', 3999, 4001))).code).toBe('safetensors.range');
  const { code, message } = await complaint(opened.read('layers.b.weight'));
  expect(code).toBe('safetensors.noTensor');
  expect(message).toContain('"b"');
});
