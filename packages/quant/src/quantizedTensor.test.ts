import { fromNumbers, Rng } from '@lowrank/tensor';
import { beforeAll, describe, expect, test } from 'vitest';
import { ErrorStatistics } from './numeric/errorStatistics.js';
import type { FloatDtype, Floats } from './numeric/floats.js';
import { blockSizes } from './fourBit.js';
import { dequantize, dequantizePart } from './dequantize.js';
import { operandOf, quantizedBytes } from './quantizedTensor.js';
import { quantize, Quantizer } from './quantizer.js';
import type { FourBitTensor, QuantizationType, QuantizedTensor } from './quantizedTensor.js';
import { bytesOf, digest, goldenFile, goldenJson } from './testing.js';
import type { SafetensorsFile } from '@lowrank/safetensors';

interface GoldenCase {
  readonly name: string;
  readonly key: string;
  readonly shape: readonly number[];
  readonly dtype: FloatDtype;
  readonly type: QuantizationType;
  readonly blockSize?: number;
  readonly double?: boolean;
  readonly offset?: number;
  /** sha256 of the values, dequantized and widened to f32. */
  readonly values: string;
}

const { cases } = await goldenJson<{ cases: readonly GoldenCase[] }>('cases.json');
let file: SafetensorsFile;
beforeAll(async () => {
  file = await goldenFile('cases.safetensors');
});

const given = async ({ name, dtype }: GoldenCase): Promise<Floats> => {
  const x = new Float32Array(await bytesOf(file, `${name}.x`));
  return dtype === 'f32' ? x : (fromNumbers(x, dtype) as Uint16Array);
};

async function quantized(golden: GoldenCase): Promise<QuantizedTensor> {
  const { type, shape, dtype, blockSize, double } = golden;
  return quantize(await given(golden), { type, shape, dtype, blockSize, doubleQuantization: double });
}

const widened = (values: Floats, dtype: FloatDtype): Float32Array => {
  if (values instanceof Float32Array) return values;
  const [bits] = [new Uint16Array(values)];
  return dtype === 'bf16'
    ? new Float32Array(Uint32Array.from(bits, (half) => half << 16).buffer)
    : Float32Array.from(bits, halfOf);
};

/** By the definition of the format, not by the code under test. */
function halfOf(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const size = exponent === 0 ? (bits & 1023) * 2 ** -24 : (1 + (bits & 1023) / 1024) * 2 ** (exponent - 15);
  return bits & 0x8000 ? -size : size;
}

describe('as bitsandbytes', () => {
  test('the cases are all there', () => {
    expect(cases.length).toBeGreaterThan(120);
    expect(new Set(cases.map(({ name }) => name)).size).toBe(14);
  });

  // int8 weights go through f16 here, as Linear8bitLt has them; the golden's function takes f32 as it is.
  test.each(
    cases
      .filter(({ type, dtype }) => type !== 'int8' || dtype === 'f16')
      .map((golden) => [golden.key, golden] as const),
  )('%s: the same codes, scales and values', async (_key, golden) => {
    const tensor = await quantized(golden);
    const codes = new Uint8Array(await bytesOf(file, `${golden.key}.codes`));
    const absmax = await bytesOf(file, `${golden.key}.absmax`);
    expect(new Uint8Array(tensor.codes.buffer, 0, tensor.codes.length)).toEqual(codes);
    if (tensor.type === 'int8' || tensor.absmax instanceof Float32Array) {
      expect(tensor.absmax).toEqual(new Float32Array(absmax));
    } else {
      expect(tensor.absmax.offset).toBe(golden.offset);
      expect(tensor.absmax.codes).toEqual(new Uint8Array(absmax));
      expect(tensor.absmax.absmax).toEqual(new Float32Array(await bytesOf(file, `${golden.key}.nested`)));
    }
    const dtype = tensor.type === 'int8' ? 'f32' : tensor.dtype;
    // −0 is 0: bitsandbytes' kernels differ in that.
    expect(digest(widened(dequantize(tensor, dtype), dtype).map((value) => value + 0))).toBe(golden.values);
  });

  test('errors on N(0, 1) are the published ones', async () => {
    const { errors } = await goldenJson<{ errors: Record<string, { meanAbsolute: number; meanRelative: number }> }>(
      'error.json',
    );
    const rng = new Rng(11);
    const x = Float32Array.from({ length: 1 << 20 }, () => rng.normal());
    const published = { nf4: [0.072798, 0.203339], fp4: [0.096543, 0.260125] } as const;
    for (const type of ['nf4', 'fp4'] as const) {
      for (const blockSize of [64, 128]) {
        const statistics = new ErrorStatistics();
        statistics.add(
          x,
          dequantize(quantize(x, { type, shape: [1024, 1024], dtype: 'f32', blockSize })) as Float32Array,
        );
        const { meanAbsolute, meanRelative, elements } = statistics.result();
        expect(elements).toBe(1 << 20);
        const golden = errors[`${type}.${blockSize}`];
        expect(Math.abs(meanAbsolute - (golden?.meanAbsolute ?? NaN))).toBeLessThan(5e-4);
        expect(Math.abs(meanRelative - (golden?.meanRelative ?? NaN))).toBeLessThan(2e-3);
        if (blockSize !== 64) continue;
        expect(Math.abs(meanAbsolute - published[type][0])).toBeLessThan(5e-4);
        expect(Math.abs(meanRelative - published[type][1])).toBeLessThan(2e-3);
      }
    }
  });
});

const rng = new Rng(2);
const normal = (length: number): Float32Array => Float32Array.from({ length }, () => rng.normal());

describe('in pieces', () => {
  test.each(['nf4', 'int8'] as const)(
    '%s: the codes are those of the whole, and no piece may be missing or too long',
    (type) => {
      const shape = [1100, 1003];
      const x = normal(1100 * 1003);
      const options = { type, shape, dtype: 'f32', doubleQuantization: true } as const;
      const quantizer = new Quantizer(options);
      expect(quantizer.chunkSize).toBeLessThan(x.length);
      expect(() => quantizer.add(x.subarray(0, 64))).toThrow(/pieces of/);
      quantizer.add(x.subarray(0, quantizer.chunkSize));
      expect(() => quantizer.finish()).toThrow(/1103300 elements, got/);
      quantizer.add(x.subarray(quantizer.chunkSize));
      const one = quantizer.finish();
      const many = quantize(x, options);
      expect(digest(...operandOf(one).parts)).toBe(digest(...operandOf(many).parts));
      const [start, whole] = [quantizer.chunkSize, dequantize(one)];
      expect(dequantizePart(one, 0, start)).toEqual(whole.subarray(0, start));
      expect(dequantizePart(one, start, x.length)).toEqual(whole.subarray(start));
      // The last element too is what its block's scale makes of its code.
      expect(Math.abs((whole.at(-1) ?? NaN) - (x.at(-1) ?? NaN))).toBeLessThan(0.5);
      expect(() => new Quantizer(options).add(new Float32Array(1200 * 1003))).toThrow(/pieces of/);
    },
  );
});

test.each(blockSizes)('a block size of %i: every block has its largest number exactly', (blockSize) => {
  const x = normal(3 * blockSize + 2);
  const tensor = quantize(x, { type: 'nf4', shape: [x.length], dtype: 'f32', blockSize }) as FourBitTensor;
  const values = dequantize(tensor);
  for (let block = 0; block < 4; block++) {
    const part = [...x.subarray(block * blockSize, (block + 1) * blockSize)];
    const largest = part.reduce((best, value) => (Math.abs(value) > Math.abs(best) ? value : best), 0);
    expect(values[block * blockSize + part.indexOf(largest)]).toBeCloseTo(
      Math.abs(largest) * (largest < 0 ? -1 : 1),
      6,
    );
  }
});

test('an operand is laid out as its encoding says', () => {
  const x = normal(40 * 33);
  const plain = operandOf(quantize(x, { type: 'fp4', shape: [40, 33], dtype: 'f32' }));
  expect(plain.encoding).toMatchObject({ kind: 'block4', rows: 40, columns: 33, blockSize: 64 });
  expect(plain.parts.map(({ length }) => length)).toEqual([660, 21]);
  const tensor = quantize(x, { type: 'nf4', shape: [40, 33], dtype: 'f32', blockSize: 32, doubleQuantization: true });
  const nested = operandOf(tensor);
  expect(nested.encoding).toMatchObject({ nestedBlockSize: 256 });
  expect(nested.parts.map(({ length }) => length)).toEqual([660, 42, 258]);
  expect(quantizedBytes(tensor)).toBe(660 + 42 + 4 * 258);
  const rows = operandOf(quantize(x, { type: 'int8', shape: [40, 33], dtype: 'f32' }));
  expect([rows.encoding, rows.parts.map(({ length }) => length)]).toEqual([
    { kind: 'rows8', rows: 40, columns: 33 },
    [1320, 40],
  ]);
});

test('what cannot be quantized is refused', () => {
  const options = { type: 'nf4', shape: [2, 40], dtype: 'f32' } as const;
  for (const bad of [NaN, Infinity, -Infinity]) {
    const x = normal(80);
    x[70] = bad;
    for (const type of ['nf4', 'int8'] as const)
      expect(() => quantize(x, { ...options, type })).toThrow(/element \d+ of a matrix/);
  }
  expect(() => quantize(normal(80), { ...options, blockSize: 48 })).toThrow(/32, 64, 128/);
  expect(() => quantize(normal(80), { ...options, type: 'int8', shape: [80] })).toThrow(/expected a matrix/);
});

test('int8 keeps numbers that f16 cannot hold, and rounds others to f16 first', () => {
  const big = Float32Array.of(1e9, -5e8, 2e8, 0, 0, 0);
  const values = dequantize(quantize(big, { type: 'int8', shape: [2, 3], dtype: 'f32' }));
  big.forEach((value, i) => expect(Math.abs((values[i] ?? NaN) - value)).toBeLessThanOrEqual(1e9 / 253));
  const tensor = quantize(Float32Array.of(1.0001, -0.3), { type: 'int8', shape: [1, 2], dtype: 'f32' });
  expect([...(operandOf(tensor).parts[1] ?? [])]).toEqual([1]);
});
