import { bytesSource } from '@lowrank/safetensors';
import { isLowrankError } from '@lowrank/errors';
import { expect, test } from 'vitest';
import { readHeader } from './header.js';

/** Pieces of a file: numbers of 32 bits, bigints of 64, texts with their length, bytes. */
type Piece = number | bigint | string | Uint8Array;

function bytes(...pieces: readonly Piece[]): Uint8Array {
  return Buffer.concat(
    pieces.map((piece) => {
      if (piece instanceof Uint8Array) return piece;
      if (typeof piece === 'string')
        return Buffer.concat([bytes(BigInt(Buffer.byteLength(piece))), Buffer.from(piece)]);
      const buffer = Buffer.alloc(typeof piece === 'number' ? 4 : 8);
      if (typeof piece === 'number') buffer.writeUInt32LE(piece);
      else buffer.writeBigUInt64LE(piece);
      return buffer;
    }),
  );
}

const magic = Buffer.from('GGUF');
const architecture = ['general.architecture', 8, 'llama'] as const;
const tensor = (name: string, offset: bigint, { type = 0, sizes = [8n] } = {}): Piece[] => [
  name,
  sizes.length,
  ...sizes,
  type,
  offset,
];

/** A file with one entry of metadata, tensors as they are given, and so many bytes of data. */
function file(
  tensors: readonly Piece[][],
  data: number,
  { count = BigInt(tensors.length), entries = 1n } = {},
): Uint8Array {
  const header = bytes(magic, 3, count, entries, ...architecture, ...tensors.flat());
  return Buffer.concat([header, Buffer.alloc((32 - (header.length % 32)) % 32), Buffer.alloc(data)]);
}

const open = (content: Uint8Array): ReturnType<typeof readHeader> => readHeader(bytesSource(content, 'm.gguf'));

test('metadata and tensors, the outermost dimension first', async () => {
  const { metadata, tensors } = await open(
    file([tensor('b', 64n, { type: 2, sizes: [32n, 2n] }), tensor('a', 0n)], 64 + 36),
  );
  expect([...metadata]).toEqual([['general.architecture', 'llama']]);
  expect([...tensors.values()].map(({ name, type, shape, byteLength }) => [name, type, shape, byteLength])).toEqual([
    ['a', 'F32', [8], 32],
    ['b', 'Q4_0', [2, 32], 36],
  ]);
});

test.each<[string, Uint8Array]>([
  ['magic', Buffer.from('GGML and more bytes')],
  ['version', bytes(magic, 1, 0n, 0n)],
  ['version', bytes(magic, 0x3000000, 0n, 0n)],
  // Counts and lengths that the file cannot hold.
  ['count', file([], 0, { count: 2n ** 40n })],
  ['count', file([], 0, { entries: 2n ** 63n })],
  ['count', bytes(magic, 3, 0n, 1n, 2n ** 62n, Buffer.alloc(40))],
  ['count', bytes(magic, 3, 0n, 1n, 'k', 9, 5, 2n ** 50n, Buffer.alloc(40))],
  ['truncated', bytes(magic, 3, 1n, 1n, ...architecture)],
  ['truncated', file([tensor('a', 0n)], 31)],
  ['text', bytes(magic, 3, 0n, 1n, 2n, Buffer.from([0xff, 0xfe]), 8, 'x')],
  ['value', bytes(magic, 3, 0n, 1n, 'key', 13, Buffer.alloc(40))],
  ['value', bytes(magic, 3, 0n, 1n, 'key', 9, 9, 1n, 4, 1n, 7, Buffer.alloc(40))],
  ['duplicateName', bytes(magic, 3, 0n, 2n, ...architecture, ...architecture)],
  ['duplicateName', file([tensor('a', 0n), tensor('a', 32n)], 64)],
  ['alignment', bytes(magic, 3, 0n, 1n, 'general.alignment', 4, 24)],
  ['tensorType', file([tensor('a', 0n, { type: 16, sizes: [256n] })], 66)],
  ['tensorShape', file([tensor('a', 0n, { sizes: [] })], 32)],
  ['tensorShape', file([tensor('a', 0n, { sizes: [0n] })], 32)],
  ['tensorShape', file([tensor('a', 0n, { sizes: [2n ** 40n, 2n ** 40n] })], 32)],
  ['tensorShape', file([tensor('a', 0n, { type: 12, sizes: [64n] })], 144)],
  ['tensorOffset', file([tensor('a', 4n)], 64)],
  ['overlap', file([tensor('a', 0n, { sizes: [16n] }), tensor('b', 32n)], 64)],
])('a hostile header: %s', async (code, content) => {
  await expect(open(content)).rejects.toMatchObject({ code: `gguf.${code}` });
});

test('a file cut anywhere, or with any byte of its header changed, is read or refused, and nothing else', async () => {
  const whole = file([tensor('a', 0n), tensor('b', 32n, { type: 8, sizes: [32n] })], 32 + 34);
  const refusal = async (content: Uint8Array): Promise<unknown> =>
    open(content).then(
      () => undefined,
      (error: unknown) => error,
    );
  for (let end = 0; end < whole.length; end++)
    expect([end, isLowrankError(await refusal(whole.subarray(0, end)))]).toEqual([end, true]);
  for (let at = 0; at < 160; at++) {
    for (const value of [0, 1, 127, 255]) {
      const changed = Uint8Array.from(whole);
      changed[at] = value;
      const error = await refusal(changed);
      expect(error === undefined || isLowrankError(error)).toBe(true);
    }
  }
});
