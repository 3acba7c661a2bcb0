import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { bytesSource } from './byteSource.js';
import type { SafetensorsDtype } from './dtype.js';
import { openSafetensors } from './open.js';
import { complaint } from './testing.js';
import type { TensorEntry } from './write.js';
import { safetensorsBytes, serializeSafetensors, writeSafetensors } from './write.js';

interface Golden {
  library: string;
  cases: {
    title: string;
    metadata: Record<string, string> | null;
    tensors: { name: string; dtype: SafetensorsDtype; shape: number[]; data: string }[];
    file: string;
  }[];
}

const golden = JSON.parse(
  readFileSync(new URL('../../../parity/golden/safetensors.json', import.meta.url), 'utf8'),
) as Golden;

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

const one = (over: Partial<TensorEntry> = {}): TensorEntry => ({
  name: 'a',
  dtype: 'U8',
  shape: [2],
  data: new Uint8Array(2),
  ...over,
});

describe(`the bytes of ${golden.library}`, () => {
  it.each(golden.cases)('$title', async ({ tensors, metadata, file }) => {
    const entries = tensors.map((tensor) => ({ ...tensor, data: new Uint8Array(Buffer.from(tensor.data, 'base64')) }));
    const expected = Buffer.from(file, 'base64');
    expect(Buffer.from(serializeSafetensors(entries, metadata ?? undefined)).equals(expected)).toBe(true);
    expect((await collect(writeSafetensors(entries.reverse(), metadata ?? undefined))).equals(expected)).toBe(true);

    const opened = await openSafetensors(bytesSource(expected));
    expect(opened.tensors.size).toBe(tensors.length);
    for (const { name, dtype, shape, data } of entries) {
      expect(opened.tensors.get(name)).toMatchObject({ name, dtype, shape });
      expect(Buffer.from(await opened.read(name)).equals(data)).toBe(true);
    }
    expect({ ...opened.metadata }).toEqual(metadata ?? {});
  });
});

describe('streaming', () => {
  it("makes each tensor's bytes only when their turn comes", async () => {
    const made: string[] = [];
    const lazy = (name: string): TensorEntry =>
      one({
        name,
        shape: [3],
        data: function* () {
          made.push(name);
          yield new Uint8Array([1]);
          yield new Uint8Array([2, 3]);
        },
      });
    const chunks = writeSafetensors([
      lazy('b'),
      lazy('a'),
      one({ name: 'c', data: () => Promise.resolve(new Uint8Array([4, 5])) }),
    ]);
    await chunks.next();
    expect(made).toEqual([]);
    await chunks.next();
    expect(made).toEqual(['a']);
    expect([...(await collect(chunks))]).toEqual([2, 3, 1, 2, 3, 4, 5]);
  });

  it('refuses lazy data that is too short or too long', async () => {
    for (const bytes of [0, 1, 3]) {
      const chunks = writeSafetensors([one({ data: () => [new Uint8Array(bytes)] })]);
      expect((await complaint(collect(chunks))).code).toBe('safetensors.byteCount');
    }
  });
});

it('the bytes of a file are known without its data', () => {
  const entries = [
    { name: 'weights', shape: [3, 5], dtype: 'F32', data: new Uint8Array(60) },
    { name: 'ü', dtype: 'BF16', shape: [7], data: new Uint8Array(14) },
  ] as const;
  expect(
    safetensorsBytes(
      entries.map(({ name, shape, dtype }) => ({ name, shape, dtype })),
      { format: 'pt' },
    ),
  ).toBe(serializeSafetensors(entries, { format: 'pt' }).byteLength);
  expect(() => safetensorsBytes([{ name: 'x', shape: [-1], dtype: 'F32' }])).toThrow(/whole numbers/);
});

describe('entries that are refused before anything is written', () => {
  it.each([
    ['byteCount', [one({ data: new Uint8Array(3) })]],
    ['duplicateName', [one(), one({ dtype: 'I8' })]],
    ['reservedName', [one({ name: '__metadata__' })]],
    ['reservedName', [one({ name: 'a\ud800' })]],
    ['dtype', [one({ dtype: 'F8' as SafetensorsDtype })]],
    ['shape', [one({ shape: [-2] })]],
    ['shape', [one({ shape: [0.5, 4] })]],
    ['shape', [one({ shape: [2 ** 30, 2 ** 30] })]],
    ['shape', [one({ shape: [0, Infinity] })]],
  ])('%s', async (code, entries) => {
    expect((await complaint(writeSafetensors(entries).next())).code).toBe(`safetensors.${code}`);
  });

  it('metadata that is no string', async () => {
    const metadata = { format: 7 } as unknown as Record<string, string>;
    expect((await complaint(writeSafetensors([one()], metadata).next())).code).toBe('safetensors.metadata');
  });
});
