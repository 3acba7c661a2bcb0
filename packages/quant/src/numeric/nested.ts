import { LowrankError } from '@lowrank/errors';
import { dynamicMap } from '@lowrank/tensor/op';
import { nestedBlockSize } from '../fourBit.js';
import { torchMean } from './torchMean.js';

/**
 * Scales of blocks, quantized themselves: absmax(b) = map[codes[b]]·absmax[⌊b / blockSize⌋] + offset, each step rounded
 * to f32.
 */
export interface NestedAbsmax {
  /** [blocks] */
  readonly codes: Uint8Array;
  /** [⌈blocks/blockSize⌉] */
  readonly absmax: Float32Array;
  readonly blockSize: number;
  /** [256] */
  readonly map: Float32Array;
  /** An f32. */
  readonly offset: number;
}

/** Places are rounded to a grid of 65,536 before their nearest value is looked up. */
const grid = 65_535;
let nearest: Uint8Array | undefined;

/**
 * Double quantization (Dettmers et al. 2023, §3): the mean is taken off, and the rest becomes 8-bit codes of the signed
 * dynamic map in blocks of 256. The nearest value is found as bitsandbytes' CPU kernel finds it: the place, rounded to
 * the 65,536 numbers 2i/65,535 − 1, then the value whose midpoints enclose it. (Its CUDA kernel compares the place
 * itself, which changes about one code in a thousand, by one.)
 *
 * @throws LowrankError `quant.notFinite` where the scales are so large that their mean overflows
 */
export function quantizeAbsmax(absmax: Float32Array): NestedAbsmax {
  const map = dynamicMap(true);
  nearest ??= nearestOnGrid(map);
  const offset = torchMean(absmax);
  if (!Number.isFinite(offset))
    throw new LowrankError({
      code: 'quant.notFinite',
      what: 'the mean of the scales of blocks',
      expected: 'a finite f32',
      got: String(offset),
      remedy: 'Quantize these weights without double quantization.',
    });
  const rest = absmax.map((value) => value - offset);
  const codes = new Uint8Array(rest.length);
  const scales = new Float32Array(Math.ceil(rest.length / nestedBlockSize));
  for (let block = 0; block < scales.length; block++) {
    const start = block * nestedBlockSize;
    const end = Math.min(start + nestedBlockSize, rest.length);
    let scale = 0;
    for (let i = start; i < end; i++) scale = Math.max(scale, Math.abs(rest[i]));
    scales[block] = scale;
    if (scale === 0) continue;
    const factor = Math.fround(1 / scale);
    for (let i = start; i < end; i++) codes[i] = nearest[placeOnGrid(Math.fround(rest[i] * factor))];
  }
  return { codes, absmax: scales, blockSize: nestedBlockSize, map, offset };
}

function placeOnGrid(place: number): number {
  const at = Math.fround(Math.fround(Math.fround(place + 1) * (grid / 2)) + 0.5);
  return Math.max(0, Math.min(grid, Math.floor(at)));
}

function nearestOnGrid(map: Float32Array): Uint8Array {
  const codes = new Uint8Array(grid + 1);
  const midpoints = Float32Array.from({ length: 255 }, (_, i) => Math.fround(map[i] + map[i + 1]) / 2);
  let code = 0;
  for (let i = 0; i <= grid; i++) {
    const place = Math.fround(Math.fround((2 * i) / grid) - 1);
    while (code < 255 && midpoints[code] < place) code++;
    codes[i] = code;
  }
  return codes;
}

/** @returns absmax, f32 [blocks], or that of the blocks `first <= b < last` */
export function dequantizeAbsmax(
  { codes, absmax, blockSize, map, offset }: NestedAbsmax,
  first = 0,
  last = codes.length,
): Float32Array {
  const result = new Float32Array(last - first);
  for (let block = first; block < last; block++)
    result[block - first] = Math.fround(map[codes[block]] * absmax[Math.floor(block / blockSize)]) + offset;
  return result;
}
