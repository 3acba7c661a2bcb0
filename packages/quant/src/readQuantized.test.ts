import { isLowrankError } from '@lowrank/errors';
import type { SafetensorsFile, TensorEntry } from '@lowrank/safetensors';
import { bytesSource, openSafetensors, serializeSafetensors } from '@lowrank/safetensors';
import { Rng } from '@lowrank/tensor';
import { sizeOf } from '@lowrank/tensor/op';
import { describe, expect, test } from 'vitest';
import { dequantize } from './dequantize.js';
import { operandOf } from './quantizedTensor.js';
import { quantize } from './quantizer.js';
import type { QuantizeOptions } from './quantizer.js';
import { findQuantized, readQuantized, storedEncoding } from './storedQuantized.js';
import { bytesOf, goldenFile } from './testing.js';
import { quantizedEntries } from './writeQuantized.js';

type Entries = (TensorEntry & { readonly data: Uint8Array })[];

const rng = new Rng(8);
const given = (shape: readonly number[]): Float32Array =>
  Float32Array.from({ length: sizeOf(shape) }, () => rng.normal());
const stored = (options: Partial<QuantizeOptions> = {}, name = 'a.weight'): Entries => {
  const shape = options.shape ?? [20, 33];
  return quantizedEntries(name, quantize(given(shape), { type: 'nf4', dtype: 'f32', ...options, shape }));
};
const open = (entries: Entries): Promise<SafetensorsFile> =>
  openSafetensors(bytesSource(serializeSafetensors(entries), 'm.safetensors'));

describe.each(['nf4', 'nf4Double', 'fp4', 'int8', 'nf4Skip'])('%s, saved by transformers', (name) => {
  test('is read, and written again byte for byte', async () => {
    const file = await goldenFile(`models/${name}/model.safetensors`);
    const found = await findQuantized(file);
    expect(found.size).toBe(name === 'nf4Skip' ? 12 : 14);
    const entries: Entries = [];
    const parts = new Set([...found.values()].flatMap(({ tensors }) => tensors));
    for (const { name: key, dtype, shape } of file.tensors.values())
      if (!parts.has(key)) entries.push({ name: key, dtype, shape, data: await file.read(key) });
    for (const [key, weight] of found) {
      const tensor = await readQuantized(file, weight);
      expect(operandOf(tensor).encoding).toEqual(storedEncoding(weight));
      entries.push(...quantizedEntries(key, tensor));
      expect(weight.bytes).toBe(
        weight.tensors.reduce((sum, part) => sum + (file.tensors.get(part)?.byteLength ?? NaN), 0),
      );
    }
    const golden = await goldenFile(`models/${name}/model.safetensors`);
    const written = await openSafetensors(bytesSource(serializeSafetensors(entries, file.metadata)));
    expect([...written.tensors.values()].map((info) => ({ ...info, file: '' }))).toEqual(
      [...golden.tensors.values()].map((info) => ({ ...info, file: '' })),
    );
    for (const key of golden.tensors.keys())
      expect([key, new Uint8Array(await bytesOf(written, key))]).toEqual([
        key,
        new Uint8Array(await bytesOf(golden, key)),
      ]);
  });
});

test.each([
  { type: 'nf4', doubleQuantization: true, dtype: 'bf16', blockSize: 32, shape: [90, 100] },
  { type: 'fp4', dtype: 'f16', blockSize: 4096, shape: [3, 5] },
  { type: 'nf4', doubleQuantization: true, shape: [2, 3, 4] },
  { type: 'int8', shape: [3, 70] },
] as const)('what is written is read: %j', async (options) => {
  const shape: readonly number[] = options.shape;
  const x = given(shape);
  const values = 'dtype' in options ? new Uint16Array(x.length).map((_, i) => 0x3c00 + ((i * 37) % 500)) : x;
  const tensor = quantize(values, { dtype: 'f32', ...options });
  const file = await open(quantizedEntries('a.b.weight', tensor));
  const found = await findQuantized(file);
  const weight = found.get('a.b.weight');
  if (weight === undefined) throw new Error('not found');
  expect(new Set(weight.tensors)).toEqual(new Set(file.tensors.keys()));
  const read = await readQuantized(file, weight);
  expect(read).toEqual(tensor);
  expect(dequantize(read)).toEqual(dequantize(tensor));
});

test('codes stored as another dtype are the same bytes', async () => {
  const entries = stored({ shape: [16, 32] });
  const as = entries.map((entry) =>
    entry.name === 'a.weight' ? { ...entry, dtype: 'BF16' as const, shape: [128, 1] } : entry,
  );
  const [plain, stacked] = [await open(entries), await open(as)];
  const tensors = await Promise.all(
    [plain, stacked].map(async (file) => {
      const weight = (await findQuantized(file)).get('a.weight');
      return weight === undefined ? undefined : readQuantized(file, weight);
    }),
  );
  expect(tensors[1]).toEqual(tensors[0]);
});

test('a file without quantized weights has none', async () => {
  expect(
    (await findQuantized(await open([{ name: 'a.weight', dtype: 'F32', shape: [2], data: new Uint8Array(8) }]))).size,
  ).toBe(0);
});

describe('refused', () => {
  const nested = { doubleQuantization: true };
  const f32 = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
  const without = (entries: Entries, suffix: string): Entries => entries.filter(({ name }) => !name.endsWith(suffix));
  const replaced = (
    entries: Entries,
    suffix: string,
    change: (entry: Entries[number]) => Partial<Entries[number]>,
  ): Entries => entries.map((entry) => (entry.name.endsWith(suffix) ? { ...entry, ...change(entry) } : entry));
  const state = (entries: Entries, change: (json: Record<string, unknown>) => unknown): Entries =>
    replaced(entries, '__nf4', ({ data }) => {
      const bytes = new TextEncoder().encode(
        JSON.stringify(change(JSON.parse(new TextDecoder().decode(data)) as Record<string, unknown>)),
      );
      return { data: bytes, shape: [bytes.length] };
    });
  const shorter =
    (count: number) =>
    ({ data, shape }: Entries[number]): Partial<Entries[number]> => ({
      data: data.subarray(0, data.length - count * (data.length / sizeOf(shape))),
      shape: [sizeOf(shape) - count],
    });

  const cases: [title: string, code: string, message: RegExp, entries: Entries][] = [
    [
      'too few scales',
      'absmax',
      /a\.weight\.absmax: expected F32 \[11\].*blocks of 64.*got F32 \[10\]/,
      replaced(stored(), '.absmax', shorter(1)),
    ],
    ['too few quantized scales', 'absmax', /expected U8 \[11\]/, replaced(stored(nested), 'weight.absmax', shorter(1))],
    [
      'too few scales of scales',
      'absmax',
      /nested_absmax: expected F32 \[2\]/,
      replaced(stored({ ...nested, blockSize: 32, shape: [100, 100] }), 'nested_absmax', shorter(1)),
    ],
    [
      'a block size that the scales are not of',
      'absmax',
      /blocks of 128/,
      state(stored(), (json) => ({ ...json, blocksize: 128 })),
    ],
    [
      'a block size that does not exist',
      'blockSize',
      /blocksize: expected one of 32, 64/,
      state(stored(), (json) => ({ ...json, blocksize: 60 })),
    ],
    [
      'a block size of another kind',
      'blockSize',
      /got "64"/,
      state(stored(), (json) => ({ ...json, blocksize: '64' })),
    ],
    [
      'no offset',
      'offset',
      /nested_offset: expected a finite number.*got nothing/,
      state(stored(nested), (json) => ({ ...json, nested_offset: undefined })),
    ],
    [
      'an offset that is no number',
      'offset',
      /nested_offset/,
      state(stored(nested), (json) => ({ ...json, nested_offset: null })),
    ],
    [
      'nothing of the nesting in the state',
      'offset',
      /nested_offset.*since its scales are quantized/,
      state(stored(nested), ({ quant_type, blocksize, dtype, shape }) => ({ quant_type, blocksize, dtype, shape })),
    ],
    [
      'no block size of scales',
      'blockSize',
      /nested_blocksize/,
      state(stored(nested), (json) => ({ ...json, nested_blocksize: undefined })),
    ],
    [
      'a nested dtype',
      'state',
      /nested_dtype/,
      state(stored(nested), (json) => ({ ...json, nested_dtype: 'float16' })),
    ],
    [
      'an unknown type in the name',
      'type',
      /expected bitsandbytes__nf4 or bitsandbytes__fp4, got int3/,
      stored().map((entry) => ({ ...entry, name: entry.name.replace('__nf4', '__int3') })),
    ],
    [
      'an unknown type in the state',
      'type',
      /quant_type: expected nf4 or fp4, got "af4"/,
      state(stored(), (json) => ({ ...json, quant_type: 'af4' })),
    ],
    [
      'a state of another type than its name',
      'state',
      /expected nf4, which its name ends with, got "fp4"/,
      state(stored(), (json) => ({ ...json, quant_type: 'fp4' })),
    ],
    [
      'a map of another type',
      'map',
      /quant_map: expected nf4's values/,
      replaced(stored(), '.quant_map', () => ({ data: f32(0, 0.0625, 8, 12, 4, 6, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0) })),
    ],
    ['a short map', 'map', /quant_map: expected F32 \[16\]/, replaced(stored(), '.quant_map', shorter(1))],
    [
      'a map of NaN',
      'map',
      /got NaN/,
      replaced(stored(), '.quant_map', () => ({ data: f32(...Array<number>(16).fill(NaN)) })),
    ],
    [
      'a short map of scales',
      'map',
      /nested_quant_map: expected F32 \[256\]/,
      replaced(stored(nested), '.nested_quant_map', shorter(1)),
    ],
    [
      'too few codes',
      'codes',
      /a\.weight: expected 330 bytes, the codes of \[20, 33\], got 329/,
      replaced(stored(), 'a.weight', shorter(1)),
    ],
    ['another shape', 'codes', /\[20, 34\]/, state(stored(), (json) => ({ ...json, shape: [20, 34] }))],
    [
      'a shape that overflows',
      'state',
      /shape: expected a list of whole numbers/,
      state(stored(), (json) => ({ ...json, shape: [2 ** 52, 2 ** 52] })),
    ],
    ['no shape', 'state', /shape/, state(stored(), (json) => ({ ...json, shape: null }))],
    ['a negative shape', 'state', /shape/, state(stored(), (json) => ({ ...json, shape: [-20, -33] }))],
    [
      'a dtype',
      'state',
      /dtype: expected float32, float16, bfloat16, got "float64"/,
      state(stored(), (json) => ({ ...json, dtype: 'float64' })),
    ],
    ['a state that is no object', 'state', /expected a JSON object, got \[\]/, state(stored(), () => [])],
    [
      'a state that is no JSON',
      'state',
      /expected JSON/,
      replaced(stored(), '__nf4', () => ({ data: Uint8Array.of(123, 34), shape: [2] })),
    ],
    [
      'a state that is no UTF-8',
      'state',
      /expected JSON/,
      replaced(stored(), '__nf4', () => ({ data: Uint8Array.of(255, 254), shape: [2] })),
    ],
    ['no codes', 'missing', /a\.weight: expected this tensor/, stored().filter(({ name }) => name !== 'a.weight')],
    ['no scales', 'missing', /a\.weight\.absmax/, without(stored(), '.absmax')],
    ['no map', 'missing', /quant_map/, without(stored(), '.quant_map')],
    ['no scales of scales', 'missing', /nested_absmax/, without(stored(nested), '.nested_absmax')],
    ['no state', 'missing', /a\.weight\.quant_state.*since a\.weight\./, without(stored(), '__nf4')],
    [
      'two states',
      'state',
      /one quant_state, got nf4 and fp4/,
      [...stored(), ...stored({ type: 'fp4' }).filter(({ name }) => name.endsWith('__fp4'))],
    ],
    [
      'scales of rows that are too few',
      'absmax',
      /expected 80 bytes, an F32 scale for each of 20 rows, got 76/,
      replaced(stored({ type: 'int8' }), '.SCB', shorter(1)),
    ],
    [
      'scales of rows in 16 bits',
      'absmax',
      /expected F32, got U32/,
      replaced(stored({ type: 'int8' }), '.SCB', () => ({ dtype: 'U32' })),
    ],
    ['int8 codes without scales', 'missing', /a\.SCB/, without(stored({ type: 'int8' }), '.SCB')],
    ['int8 scales without codes', 'missing', /a\.weight/, without(stored({ type: 'int8' }), 'a.weight')],
    [
      'int8 scales beside f32 weights',
      'codes',
      /expected an I8 matrix, got U8/,
      replaced(stored({ type: 'int8' }), 'a.weight', () => ({ dtype: 'U8' })),
    ],
    [
      'int8 codes in columns',
      'weightFormat',
      /row by row, got 2/,
      replaced(stored({ type: 'int8' }), '.weight_format', () => ({ data: Uint8Array.of(2) })),
    ],
  ];

  test.each(cases)('%s', async (_title, code, message, entries) => {
    const error: unknown = await open(entries)
      .then(findQuantized)
      .then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
    if (!isLowrankError(error)) throw error ?? new Error('nothing was refused');
    expect([error.code, error.message]).toEqual([`quant.${code}`, expect.stringMatching(message)]);
    expect(error.message).toContain('m.safetensors');
  });

  test.each(['.absmax', '.nested_absmax', '.nested_quant_map'])('a number in %s that is none', async (suffix) => {
    const entries = replaced(stored(suffix === '.absmax' ? {} : nested), suffix, ({ data }) => {
      const values = new Float32Array(new Uint8Array(data).buffer);
      values[values.length - 1] = NaN;
      return { data: new Uint8Array(values.buffer) };
    });
    const file = await open(entries);
    const weight = (await findQuantized(file)).get('a.weight');
    if (weight === undefined) throw new Error('not found');
    await expect(readQuantized(file, weight)).rejects.toThrow(/expected a finite number, got NaN/);
  });

  test('an int8 weight under a name without .weight', () => {
    expect(() => stored({ type: 'int8' }, 'a.kernel')).toThrow(/ends with \.weight/);
  });
});
