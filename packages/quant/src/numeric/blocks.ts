import { LowrankError } from '@lowrank/errors';
import type { FloatDtype, Floats } from './floats.js';
import { floats, narrowing } from './floats.js';
import type { FourBitCodec } from '../fourBit.js';

/** Where codes and scales of some blocks go: they may be part of larger arrays. */
export interface BlockOutput {
  /** [⌈elements/2⌉]; element 2j in the high half of byte j. */
  readonly codes: Uint8Array;
  /** [blocks] */
  readonly absmax: Float32Array;
}

export interface BlockOptions {
  readonly codec: FourBitCodec;
  readonly blockSize: number;
}

/** Buckets of equal width that a place in [−1, 1] falls into; so narrow that no two boundaries share one. */
const buckets = 1024;
const largest = 3.4028234663852886e38;
/** Below it bitsandbytes does not let the divisor fall. */
const smallestScale = Math.fround(1e-38);

interface Steps {
  /** The code of a place up to the boundary in its bucket, and beyond it. */
  readonly below: Uint8Array;
  readonly above: Uint8Array;
  /**
   * The boundary in each bucket; infinity where there is none, which is nearly everywhere, so that the branch on it is
   * foreseen.
   */
  readonly boundary: Float32Array;
}

const made = new WeakMap<FourBitCodec, Steps>();

function stepsOf(codec: FourBitCodec): Steps {
  const found = made.get(codec);
  if (found !== undefined) return found;
  const { boundaries, order } = codec;
  const steps: Steps = {
    below: new Uint8Array(buckets + 1),
    above: new Uint8Array(buckets + 1),
    boundary: new Float32Array(buckets + 1),
  };
  for (let bucket = 0; bucket <= buckets; bucket++) {
    const start = (2 * bucket) / buckets - 1;
    const first = boundaries.filter((boundary) => boundary < start).length;
    const inside = boundaries[first] ?? Infinity;
    steps.boundary[bucket] = inside < start + 2 / buckets ? inside : Infinity;
    steps.below[bucket] = order[first];
    steps.above[bucket] = order[Math.min(first + 1, 15)];
  }
  made.set(codec, steps);
  return steps;
}

/**
 * 4-bit codes of f32 numbers in blocks: absmax(b) = max |x| over block b, code(i) = order[#{boundaries < place}], place
 * = x[i]·(1/absmax) rounded to f32 (Dettmers et al. 2023). Element by element what bitsandbytes' PyTorch backend does:
 * 1/absmax is at most 1e38; a last block that is not full divides by absmax instead, which is at least 1e-38; after an
 * odd number of elements comes the code of 0.
 *
 * @throws LowrankError `quant.notFinite`
 */
export function quantizeBlocks(
  x: Float32Array,
  { codes, absmax }: BlockOutput,
  { codec, blockSize }: BlockOptions,
): void {
  const steps = stepsOf(codec);
  const full = x.length - (x.length % blockSize);
  for (let start = 0, block = 0; start < full; start += blockSize, block++) {
    const scale = largestOf(x, start, start + blockSize);
    absmax[block] = scale;
    codeFullBlock(x, codes, {
      steps,
      start,
      end: start + blockSize,
      factor: Math.fround(1 / Math.max(scale, smallestScale)),
    });
  }
  if (full < x.length) absmax[absmax.length - 1] = codeLastBlock(x, codes, steps, full);
}

function largestOf(x: Float32Array, start: number, end: number): number {
  let found = 0;
  for (let i = start; i < end; i++) {
    const size = Math.abs(x[i]);
    if (size <= found) continue;
    if (!(size <= largest)) throw notFinite(x[i], i);
    found = size;
  }
  return found;
}

interface BlockRange {
  readonly steps: Steps;
  readonly start: number;
  readonly end: number;
  readonly factor: number;
}

function codeFullBlock(
  x: Float32Array,
  codes: Uint8Array,
  { steps: { below, above, boundary }, start, end, factor }: BlockRange,
): void {
  const half = buckets / 2;
  for (let i = start; i < end; i += 2) {
    const high = Math.fround(x[i] * factor);
    const low = Math.fround(x[i + 1] * factor);
    // Rounding may take a place a hair beyond ±1: the last bucket is for 1 and that hair.
    const highBucket = ((high + 1) * half) | 0;
    const lowBucket = ((low + 1) * half) | 0;
    const highCode = high > boundary[highBucket] ? above[highBucket] : below[highBucket];
    const lowCode = low > boundary[lowBucket] ? above[lowBucket] : below[lowBucket];
    codes[i >> 1] = (highCode << 4) | lowCode;
  }
}

function codeLastBlock(x: Float32Array, codes: Uint8Array, { below, above, boundary }: Steps, start: number): number {
  const scale = Math.max(largestOf(x, start, x.length), smallestScale);
  const codeOf = (value: number): number => {
    const place = Math.fround(value / scale);
    const bucket = ((place + 1) * (buckets / 2)) | 0;
    return place > boundary[bucket] ? above[bucket] : below[bucket];
  };
  // An odd count ends with half a byte, which holds the code of 0.
  for (let i = start; i < x.length; i += 2) codes[i >> 1] = (codeOf(x[i]) << 4) | codeOf(x[i + 1] ?? 0);
  return scale;
}

export interface BlockInput {
  readonly codes: Uint8Array;
  readonly absmax: Float32Array;
  readonly table: Float32Array;
  readonly blockSize: number;
}

/** x[i] = table[code(i)]·absmax(⌊i / blockSize⌋), the product rounded to f32 and then to `dtype`. */
export function dequantizeBlocks(
  { codes, absmax, table, blockSize }: BlockInput,
  length: number,
  dtype: FloatDtype = 'f32',
): Floats {
  const result = floats(dtype, length);
  const narrow = narrowing(dtype);
  const values = floats(dtype, 16);
  for (let start = 0, block = 0; start < length; start += blockSize, block++) {
    const scale = absmax[block];
    for (let code = 0; code < 16; code++) values[code] = narrow(Math.fround(table[code] * scale));
    const end = Math.min(start + blockSize, length);
    for (let i = start; i < end; i += 2) {
      const byte = codes[i >> 1];
      result[i] = values[byte >> 4];
      // One too many after an odd number of elements: beyond the end of an array nothing is written.
      result[i + 1] = values[byte & 15];
    }
  }
  return result;
}

export function notFinite(value: number, index: number): LowrankError {
  return new LowrankError({
    code: 'quant.notFinite',
    what: `element ${index} of a matrix to quantize`,
    expected: 'a finite number',
    got: String(value),
    remedy: 'The weights are damaged: one such number would take its whole block with it.',
  });
}
