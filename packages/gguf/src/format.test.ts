import { expect, test } from 'vitest';
import type { GgufFile, GgufTensor, GgufValue } from './format.js';
import { writeGguf } from './format.js';

async function bytesOf(file: GgufFile): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of writeGguf(file)) chunks.push(chunk);
  return new Uint8Array(Buffer.concat(chunks));
}

const tensor = (name: string, shape: readonly number[], bytes: number): GgufTensor => ({
  name,
  type: 'F32',
  shape,
  read: () => Promise.resolve(new Uint8Array(bytes).fill(7)),
});

test('header, tensor infos and padding are laid out as the format says', async () => {
  const metadata = new Map<string, GgufValue>([
    ['a', { type: 'bool', value: true }],
    ['b', { type: 'strings', value: ['é', ''] }],
    ['c', { type: 'i32s', value: [-1] }],
  ]);
  const bytes = await bytesOf({ metadata, tensors: [tensor('x', [3, 5], 60), tensor('y', [1], 4)] });
  const view = new DataView(bytes.buffer);
  expect(new TextDecoder().decode(bytes.subarray(0, 4))).toBe('GGUF');
  expect([view.getUint32(4, true), view.getBigUint64(8, true), view.getBigUint64(16, true)]).toEqual([3, 2n, 3n]);
  // a: key, type 7, one byte
  expect([view.getBigUint64(24, true), bytes[32], view.getUint32(33, true), bytes[37]]).toEqual([1n, 97, 7, 1]);
  // b: key, type 9 (array) of 8 (strings), two of them, 'é' in two bytes
  expect([
    view.getUint32(47, true),
    view.getUint32(51, true),
    view.getBigUint64(55, true),
    view.getBigUint64(63, true),
  ]).toEqual([9, 8, 2n, 2n]);
  const infos = 24 + 14 + 9 + 4 + 4 + 8 + 10 + 8 + 9 + 4 + 4 + 8 + 4;
  // x: innermost dimension first
  expect([
    view.getUint32(infos + 9, true),
    view.getBigUint64(infos + 13, true),
    view.getBigUint64(infos + 21, true),
    view.getUint32(infos + 29, true),
    view.getBigUint64(infos + 33, true),
  ]).toEqual([2, 5n, 3n, 0, 0n]);
  const second = infos + 41;
  expect([
    view.getUint32(second + 9, true),
    view.getBigUint64(second + 13, true),
    view.getBigUint64(second + 25, true),
  ]).toEqual([1, 1n, 64n]);
  const data = Math.ceil((second + 33) / 32) * 32;
  expect(bytes.length).toBe(data + 64 + 32);
  expect(bytes.subarray(data, data + 96).reduce((sum, byte) => sum + byte, 0)).toBe(64 * 7);
});

test('a name twice, and bytes that do not fit the shape, are errors', async () => {
  await expect(
    bytesOf({ metadata: new Map(), tensors: [tensor('x', [1], 4), tensor('x', [1], 4)] }),
  ).rejects.toMatchObject({ code: 'gguf.duplicateName' });
  await expect(bytesOf({ metadata: new Map(), tensors: [tensor('x', [2, 3], 20)] })).rejects.toMatchObject({
    code: 'gguf.byteCount',
    expected: '24 bytes',
  });
});

test('a header beyond 64 KiB, as every real vocabulary makes one', async () => {
  const tokens = Array.from({ length: 49_152 }, (_, at) => `token ${at}`);
  const metadata = new Map([['tokenizer.ggml.tokens', { type: 'strings' as const, value: tokens }]]);
  let text = '';
  for await (const chunk of writeGguf({ metadata, tensors: [] })) text += new TextDecoder().decode(chunk);
  for (const at of [0, 1, 8191, 49_151]) expect(text).toContain(`token ${at}`);
});
