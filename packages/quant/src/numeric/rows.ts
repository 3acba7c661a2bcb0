import { notFinite } from './blocks.js';
import type { FloatDtype, Floats } from './floats.js';
import { floats, narrowing } from './floats.js';

/** Codes and scales of a matrix's rows. */
export interface RowCodes {
  /** [rows·columns] */
  readonly codes: Int8Array;
  /** [rows] */
  readonly absmax: Float32Array;
}

/**
 * 1.5·2^52: a double of a small number added to it and taken off again is that number rounded to a whole one, ties to
 * even.
 */
const rounder = 6_755_399_441_055_744;
const perStep = Math.fround(1 / 127);

/**
 * INT8 row by row: absmax(r) = max |x| over row r, code = round(x·((1/absmax)·127)), each step rounded to f32, ties to
 * even (Dettmers et al. 2022, LLM.int8's storage of weights; PyTorch divides 127 by a tensor like this, so
 * bitsandbytes' CPU backend does). A row of zeros has codes of 0.
 *
 * @throws LowrankError `quant.notFinite`
 */
export function quantizeRows(x: Float32Array, { codes, absmax }: RowCodes, columns: number): void {
  for (let row = 0; row * columns < x.length; row++) {
    const start = row * columns;
    const end = start + columns;
    let scale = 0;
    for (let i = start; i < end; i++) {
      const size = Math.abs(x[i]);
      if (size <= scale) continue;
      if (!(size < Infinity)) throw notFinite(x[i], i);
      scale = size;
    }
    absmax[row] = scale;
    if (scale === 0) codes.fill(0, start, end);
    else codeRow(x, codes, { start, end, scale });
  }
}

function codeRow(
  x: Float32Array,
  codes: Int8Array,
  { start, end, scale }: { readonly start: number; readonly end: number; readonly scale: number },
): void {
  const rounded = Math.fround(Math.fround(1 / scale) * 127);
  // Of a scale near the smallest f32 it is infinite in f32.
  const factor = rounded < Infinity ? rounded : 127 / scale;
  for (let i = start; i < end; i++) codes[i] = Math.fround(x[i] * factor) + rounder - rounder;
}

/** x[r, c] = (code·absmax(r))·(1/127), each product rounded to f32, and the result to `dtype`. */
export function dequantizeRows({ codes, absmax }: RowCodes, columns: number, dtype: FloatDtype = 'f32'): Floats {
  const result = floats(dtype, codes.length);
  const narrow = narrowing(dtype);
  const values = floats(dtype, 256);
  for (let row = 0; row < absmax.length; row++) {
    const scale = absmax[row];
    for (let code = -128; code < 128; code++)
      values[code + 128] = narrow(Math.fround(Math.fround(code * scale) * perStep));
    for (let i = row * columns; i < (row + 1) * columns; i++) result[i] = values[codes[i] + 128];
  }
  return result;
}
