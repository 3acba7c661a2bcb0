import { LowrankError } from '@lowrank/errors';

/**
 * 4-bit data types: NormalFloat, whose values are quantiles of the normal distribution, and a float of 1 sign, 2
 * exponent and 1 mantissa bit.
 */
export type FourBitType = 'nf4' | 'fp4';

/** A 4-bit code: 16 values, and the boundaries that decide which one a number gets. */
export interface FourBitCodec {
  /** The value of each code; absmax is worth 1. */
  readonly table: Float32Array;
  /** 15 ascending numbers halfway between neighbouring values. */
  readonly boundaries: Float32Array;
  /** `order[i]` is the code of a place with i boundaries strictly below it. */
  readonly order: Uint8Array;
}

/** What bitsandbytes allows. */
export const blockSizes: readonly number[] = [32, 64, 128, 256, 512, 1024, 2048, 4096];

/** What lies beside 4-bit codes, in files, by the ends of their names. */
export const companions = ['absmax', 'quant_map', 'nested_absmax', 'nested_quant_map'] as const;

/** Scales that share a scale of their own, with double quantization. */
export const nestedBlockSize = 256;

export function isFourBitType(type: unknown): type is FourBitType {
  return type === 'nf4' || type === 'fp4';
}

/** @throws LowrankError `quant.blockSize` */
export function checkBlockSize(blockSize: unknown, what = 'the block size'): number {
  if (typeof blockSize === 'number' && blockSizes.includes(blockSize)) return blockSize;
  throw new LowrankError({
    code: 'quant.blockSize',
    what,
    expected: `one of ${blockSizes.join(', ')}`,
    got: String(JSON.stringify(blockSize)),
  });
}

// bitsandbytes' constants (`get_4bit_type`); Dettmers et al. 2023, QLoRA, appendix E.
const nf4 = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
  -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
];
const fp4 = [0, 0.0625, 8, 12, 4, 6, 2, 3].map((value) => Math.fround(value) / 12);

// Two codes of FP4 are zero, 0 and 8. In order of value bitsandbytes' PyTorch backend puts 0 first: a place in (0,
// 0.0026] becomes 8, one in (−0.0026, 0] becomes 0 (CUDA: the reverse). What code 8 becomes is 0 in some of its kernels
// and −0 in others; here it is what the map in its files says, 0.
const fp4Order = [11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3];

/** Tables of a type. The arrays are shared: do not write to them. */
export const fourBitCodecs: Readonly<Record<FourBitType, FourBitCodec>> = {
  nf4: codec(nf4, Array.from(nf4.keys())),
  fp4: codec([...fp4, 0, ...fp4.slice(1).map((value) => -value)], fp4Order),
};

function codec(values: readonly number[], order: readonly number[]): FourBitCodec {
  const table = Float32Array.from(values);
  const boundaries = Float32Array.from(
    { length: 15 },
    (_, i) => Math.fround((table[order[i] ?? 0] ?? NaN) + (table[order[i + 1] ?? 0] ?? NaN)) / 2,
  );
  return { table, boundaries, order: Uint8Array.from(order) };
}
