import { bytesPerElement } from './dtype.js';
import { sizeOf } from './shape.js';
import type { Spec } from './spec.js';

/** What one piece of a tensor must fit. */
export interface RowLimits {
  readonly maxBindingBytes: number;
  readonly maxBufferBytes: number;
}

/** Rows start … start + rows of a tensor's first axis. */
export interface RowPiece {
  readonly start: number;
  readonly rows: number;
}

/** True for a tensor that no kernel could bind as a whole. */
export function isLarge({ shape, dtype }: Spec, { maxBindingBytes, maxBufferBytes }: RowLimits): boolean {
  return sizeOf(shape) * bytesPerElement(dtype) > Math.min(maxBindingBytes, maxBufferBytes);
}

/**
 * Elements that a piece is a multiple of, the first that fits: so that scales of 8-bit moments, bytes and f32 of any
 * piece start at aligned places too.
 */
const units = [8192, 256, 64, 1];

/**
 * How a tensor is cut into runs of whole rows. Depends on its shape and not on its dtype, so that a weight in 16 bits,
 * its gradient in f32 and the optimizer's codes in 8 are cut at the same rows: no piece is larger than the limits in
 * f32. Undefined where a single row is.
 */
export function rowPieces({ shape }: Spec, limits: RowLimits): readonly RowPiece[] | undefined {
  const count = shape[0] ?? 1;
  const width = sizeOf(shape.slice(1));
  const limit = Math.floor(Math.min(limits.maxBindingBytes, limits.maxBufferBytes) / 4);
  for (const unit of units) {
    const step = unit / commonDivisor(unit, width);
    const rows = Math.floor(limit / (step * width)) * step;
    if (rows > 0)
      return Array.from({ length: Math.ceil(count / rows) }, (_, at) => ({
        start: at * rows,
        rows: Math.min(rows, count - at * rows),
      }));
  }
  return undefined;
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b);
}
