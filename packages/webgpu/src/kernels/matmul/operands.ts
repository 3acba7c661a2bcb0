import type { DType } from '@lowrank/tensor';
import type { OperandEncoding } from '@lowrank/tensor/op';
import type { BoundType, Shader } from '../../shader.js';
import type { Slice } from '../../kernel.js';
import { bindCodes } from './codes.js';
import type { Codes, TablePlace } from './codes.js';

/** How the numbers of a dense matrix lie in memory. */
export type Encoding = 'f32' | 'f16' | 'bf16';

/**
 * A matrix operand inside a shader: stored as [outer, inner] with `inner` contiguous, after `base` elements for the
 * batch.
 */
export interface Matrix {
  readonly name: string;
  /** Codes take the place of a dense encoding. */
  readonly encoding: Encoding | Codes;
  /** Elements of a row: its WGSL expression. */
  readonly inner: string;
  /** The contraction runs along `inner`. */
  readonly alongInner: boolean;
  /** Rows begin at multiples of 4 elements, so that four neighbours are one load. */
  readonly vector: boolean;
  /** WGSL for the first element of this batch. */
  readonly base: string;
}

export function encodingOf(dtype: DType): Encoding {
  if (dtype === 'f32' || dtype === 'f16' || dtype === 'bf16') return dtype;
  throw new TypeError(`matmul cannot read ${dtype}`);
}

const boundTypes: Record<Encoding, { scalar: BoundType; vector: BoundType }> = {
  f32: { scalar: 'f32', vector: 'vec4<f32>' },
  f16: { scalar: 'u32', vector: 'vec2<u32>' },
  bf16: { scalar: 'u32', vector: 'vec2<u32>' },
};

/** Binds a matrix and describes it. */
export function bindMatrix(
  shader: Shader,
  options: {
    name: string;
    slice: Slice;
    dtype: DType;
    inner: number;
    innerName: string;
    alongInner: boolean;
    base: string;
  },
): Matrix {
  const encoding = encodingOf(options.dtype);
  const vector = options.inner % 4 === 0;
  const type = boundTypes[encoding][vector ? 'vector' : 'scalar'];
  const name = shader.read(options.name, options.slice, type);
  return { name, encoding, inner: options.innerName, alongInner: options.alongInner, vector, base: options.base };
}

/** Binds a matrix of codes, which has no batch. */
export function bindEncodedMatrix(
  shader: Shader,
  options: {
    name: string;
    parts: readonly Slice[];
    encoding: OperandEncoding;
    innerName: string;
    alongInner: boolean;
    table: TablePlace;
  },
): Matrix {
  const { name, innerName, alongInner } = options;
  const encoding = bindCodes(shader, name, options);
  return { name, encoding, inner: innerName, alongInner, vector: encoding.unit !== 1, base: '' };
}

export function codesOf({ encoding }: Matrix): Codes | undefined {
  return typeof encoding === 'string' ? undefined : encoding;
}

/** WGSL for one element at flat index `at` (after the base). */
export function scalarAt({ name, encoding, vector, base }: Matrix, at: string): string {
  const index = base === '' ? `(${at})` : `(${base} + ${at})`;
  if (typeof encoding !== 'string') return encoding.scalar(at);
  if (encoding === 'f32') return vector ? `${name}[${index} / 4u][${index} % 4u]` : `${name}[${index}]`;
  const word = vector ? `${name}[${index} / 4u][(${index} / 2u) % 2u]` : `${name}[${index} / 2u]`;
  return encoding === 'f16'
    ? `unpack2x16float(${word})[${index} % 2u]`
    : `bitcast<f32>((${word} >> (16u * (${index} % 2u))) << 16u)`;
}

/** WGSL for four neighbours from flat index `at`, which lies on a multiple of 4. Only for matrices with `vector`. */
export function vectorAt({ name, encoding, base }: Matrix, at: string): string {
  if (typeof encoding !== 'string') return encoding.vector(at);
  const cell = `${name}[${base === '' ? `(${at})` : `(${base} + ${at})`} / 4u]`;
  if (encoding === 'f32') return cell;
  return encoding === 'f16' ? `unpackF16(${cell})` : `unpackBf16(${cell})`;
}

/**
 * WGSL at module scope that reading these matrices takes. 16-bit storage needs no feature: f16 is unpacked by a
 * builtin, bf16 by a shift.
 */
export function unpacking(matrices: readonly Matrix[]): string {
  return halfUnpacking + matrices.map((matrix) => codesOf(matrix)?.declarations ?? '').join('');
}

const halfUnpacking = `
fn unpackF16(w: vec2<u32>) -> vec4<f32> { return vec4<f32>(unpack2x16float(w.x), unpack2x16float(w.y)); }
fn unpackBf16(w: vec2<u32>) -> vec4<f32> {
  let low = vec2<f32>(bitcast<f32>(w.x << 16u), bitcast<f32>(w.x & 0xffff0000u));
  return vec4<f32>(low, bitcast<f32>(w.y << 16u), bitcast<f32>(w.y & 0xffff0000u));
}
`;

export const lanes = ['x', 'y', 'z', 'w'] as const;
