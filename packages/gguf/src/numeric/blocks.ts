import { fromF16 } from '@lowrank/tensor/op';
import type { BlockType } from '../reading/tensorTypes.js';
import { tensorTypes } from '../reading/tensorTypes.js';

/**
 * Elements in codes: W[i] = value(code(i)) · scales[b] + minimums[b], b = ⌊i / blockSize⌋. Every product is exact in
 * f32, so the sum is rounded once, as ggml's and gguf-py's own dequantization rounds it.
 */
export interface BlockCodes {
  readonly bits: 4 | 8;
  /** Elements that share a scale: 32, or 16. */
  readonly blockSize: number;
  /** Of 8 bits signed numbers; of 4 bits two in a byte, element 2j in its high half. */
  readonly codes: Uint8Array | Int8Array;
  /** What a code of 4 bits is worth before the scale: code + offset. */
  readonly offset: number;
  readonly scales: Float32Array;
  readonly minimums: Float32Array | undefined;
}

/** How a type's codes are laid out once they are unpacked. */
export interface BlockLayout {
  readonly bits: 4 | 8;
  readonly blockSize: number;
  readonly offset: number;
  readonly minimums: boolean;
}

export const blockLayouts: Readonly<Record<BlockType, BlockLayout>> = {
  Q4_0: { bits: 4, blockSize: 32, offset: -8, minimums: false },
  Q4_1: { bits: 4, blockSize: 32, offset: 0, minimums: true },
  Q5_0: { bits: 8, blockSize: 32, offset: 0, minimums: false },
  Q5_1: { bits: 8, blockSize: 32, offset: 0, minimums: true },
  Q8_0: { bits: 8, blockSize: 32, offset: 0, minimums: false },
  Q4_K: { bits: 4, blockSize: 32, offset: 0, minimums: true },
  Q5_K: { bits: 8, blockSize: 32, offset: 0, minimums: true },
  Q6_K: { bits: 8, blockSize: 16, offset: 0, minimums: false },
};

/** A block of ggml at byte `from`, as codes from element `at` on and scales from block `block` on. */
type Unpack = (from: number, at: number, block: number) => void;

/** Unpacks whole blocks of ggml (ggml-quants.c). */
export function unpackBlocks(type: BlockType, bytes: Uint8Array): BlockCodes {
  const { block: size, bytes: width } = tensorTypes[type];
  const layout = blockLayouts[type];
  const elements = (bytes.length / width) * size;
  const blocks = elements / layout.blockSize;
  const made = {
    bits: layout.bits,
    blockSize: layout.blockSize,
    offset: layout.offset,
    codes: layout.bits === 4 ? new Uint8Array(elements / 2) : new Int8Array(elements),
    scales: new Float32Array(blocks),
    minimums: layout.minimums ? new Float32Array(blocks) : undefined,
  };
  const unpack = unpackers[type](bytes, made);
  for (let each = 0; each * size < elements; each++)
    unpack(each * width, each * size, (each * size) / layout.blockSize);
  return made;
}

/** The numbers that codes stand for. */
export function dequantizeCodes({ bits, blockSize, codes, offset, scales, minimums }: BlockCodes): Float32Array {
  const values = new Float32Array(scales.length * blockSize);
  for (let block = 0; block < scales.length; block++) {
    const scale = scales[block];
    const end = (block + 1) * blockSize;
    for (let i = block * blockSize; i < end; i++) {
      const code = bits === 8 ? codes[i] : (i % 2 === 0 ? codes[i >> 1] >> 4 : codes[i >> 1] & 15) + offset;
      values[i] = minimums === undefined ? code * scale : Math.fround(code * scale) + minimums[block];
    }
  }
  return values;
}

interface Target {
  readonly codes: Uint8Array | Int8Array;
  readonly scales: Float32Array;
  readonly minimums: Float32Array | undefined;
}

const halfAt = (bytes: Uint8Array, at: number): number => fromF16(bytes[at] | (bytes[at + 1] << 8));

/** 32 codes of 4 bits, of which byte j holds elements j and j + 16, to pairs of neighbours. */
function pairNibbles(bytes: Uint8Array, from: number, codes: Uint8Array | Int8Array, to: number): void {
  for (let j = 0; j < 16; j += 2) {
    const [a, b] = [bytes[from + j], bytes[from + j + 1]];
    codes[to + j / 2] = ((a & 15) << 4) | (b & 15);
    codes[to + 8 + j / 2] = (a & 240) | (b >> 4);
  }
}

/** 32 codes of 5 bits: 4 as `pairNibbles` has them, the fifth in bit i of 4 bytes. */
function fiveBits(bytes: Uint8Array, { low, high }: { low: number; high: number }, i: number): number {
  const byte = bytes[low + (i & 15)];
  return (i < 16 ? byte & 15 : byte >> 4) | (((bytes[high + (i >> 3)] >> (i & 7)) & 1) << 4);
}

/** The 6-bit scale and minimum `j` of the 8 that lie in 12 bytes of Q4_K and Q5_K (get_scale_min_k4). */
function scaleAndMinimum(bytes: Uint8Array, at: number, j: number): readonly [scale: number, minimum: number] {
  if (j < 4) return [bytes[at + j] & 63, bytes[at + j + 4] & 63];
  const both = bytes[at + j + 4];
  return [(both & 15) | ((bytes[at + j - 4] >> 6) << 4), (both >> 4) | ((bytes[at + j] >> 6) << 4)];
}

/** Scales and minimums of a block of Q4_K or Q5_K. */
function superScales(bytes: Uint8Array, from: number, { scales, minimums }: Target, block: number): void {
  const [d, least] = [halfAt(bytes, from), halfAt(bytes, from + 2)];
  for (let j = 0; j < 8; j++) {
    const [scale, minimum] = scaleAndMinimum(bytes, from + 4, j);
    scales[block + j] = d * scale;
    if (minimums !== undefined) minimums[block + j] = -(least * minimum);
  }
}

const unpackers: Readonly<Record<BlockType, (bytes: Uint8Array, target: Target) => Unpack>> = {
  Q4_0:
    (bytes, { codes, scales }) =>
    (from, at, block) => {
      scales[block] = halfAt(bytes, from);
      pairNibbles(bytes, from + 2, codes, at / 2);
    },
  Q4_1:
    (bytes, { codes, scales, minimums }) =>
    (from, at, block) => {
      scales[block] = halfAt(bytes, from);
      if (minimums !== undefined) minimums[block] = halfAt(bytes, from + 2);
      pairNibbles(bytes, from + 4, codes, at / 2);
    },
  Q5_0:
    (bytes, { codes, scales }) =>
    (from, at, block) => {
      scales[block] = halfAt(bytes, from);
      for (let i = 0; i < 32; i++) codes[at + i] = fiveBits(bytes, { low: from + 6, high: from + 2 }, i) - 16;
    },
  Q5_1:
    (bytes, { codes, scales, minimums }) =>
    (from, at, block) => {
      scales[block] = halfAt(bytes, from);
      if (minimums !== undefined) minimums[block] = halfAt(bytes, from + 2);
      for (let i = 0; i < 32; i++) codes[at + i] = fiveBits(bytes, { low: from + 8, high: from + 4 }, i);
    },
  Q8_0:
    (bytes, { codes, scales }) =>
    (from, at, block) => {
      scales[block] = halfAt(bytes, from);
      for (let i = 0; i < 32; i++) codes[at + i] = bytes[from + 2 + i];
    },
  // 32 bytes hold 64 elements: 32 low halves, then 32 high ones.
  Q4_K: (bytes, target) => (from, at, block) => {
    superScales(bytes, from, target, block);
    for (let part = 0; part < 4; part++) {
      for (let j = 0; j < 32; j += 2) {
        const [a, b] = [bytes[from + 16 + 32 * part + j], bytes[from + 17 + 32 * part + j]];
        const to = (at + 64 * part + j) / 2;
        target.codes[to] = ((a & 15) << 4) | (b & 15);
        target.codes[to + 16] = (a & 240) | (b >> 4);
      }
    }
  },
  Q5_K: (bytes, target) => (from, at, block) => {
    superScales(bytes, from, target, block);
    for (let i = 0; i < 256; i++) {
      const byte = bytes[from + 48 + 32 * (i >> 6) + (i & 31)];
      const low = (i & 32) === 0 ? byte & 15 : byte >> 4;
      target.codes[at + i] = low | (((bytes[from + 16 + (i & 31)] >> (i >> 5)) & 1) << 4);
    }
  },
  // Two halves of 128: 64 bytes of low parts, 32 of high ones, which hold 2 bits of each of 4 elements.
  Q6_K:
    (bytes, { codes, scales }) =>
    (from, at, block) => {
      const d = halfAt(bytes, from + 208);
      for (let j = 0; j < 16; j++) scales[block + j] = d * ((bytes[from + 192 + j] << 24) >> 24);
      for (let i = 0; i < 256; i++) {
        const [half, quarter, j] = [i >> 7, (i >> 5) & 3, i & 31];
        const byte = bytes[from + 64 * half + 32 * (quarter & 1) + j];
        const low = quarter < 2 ? byte & 15 : byte >> 4;
        codes[at + i] = (low | (((bytes[from + 128 + 32 * half + j] >> (2 * quarter)) & 3) << 4)) - 32;
      }
    },
};
