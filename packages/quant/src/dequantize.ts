import { sizeOf } from '@lowrank/tensor/op';
import { dequantizeBlocks } from './numeric/blocks.js';
import type { FloatDtype, Floats } from './numeric/floats.js';
import { dequantizeAbsmax } from './numeric/nested.js';
import { dequantizeRows } from './numeric/rows.js';
import type { FourBitTensor, QuantizedTensor } from './quantizedTensor.js';

/**
 * What the codes mean, in row-major order: f32, or rounded to 16 bits as bitsandbytes rounds.
 *
 * @param dtype of the result; f16 and bf16 come as bit patterns
 */
export function dequantize(tensor: QuantizedTensor, dtype: FloatDtype = 'f32'): Floats {
  if (tensor.type === 'int8') return dequantizeRows(tensor, tensor.shape[1], dtype);
  return dequantizeBlocks({ ...tensor, absmax: absmaxOf(tensor) }, sizeOf(tensor.shape), dtype);
}

/**
 * A part of what dequantize gives: elements `start <= i < end`, in f32. `start` is at the beginning of a block or a
 * row: a Quantizer's chunks begin there.
 */
export function dequantizePart(tensor: QuantizedTensor, start: number, end: number): Float32Array {
  if (tensor.type === 'int8') {
    const [, columns] = tensor.shape;
    return dequantizeRows(
      {
        codes: tensor.codes.subarray(start, end),
        absmax: tensor.absmax.subarray(start / columns, Math.ceil(end / columns)),
      },
      columns,
    ) as Float32Array;
  }
  const { blockSize, codes, absmax, table } = tensor;
  const [first, last] = [start / blockSize, Math.ceil(end / blockSize)];
  const scales = absmax instanceof Float32Array ? absmax.subarray(first, last) : dequantizeAbsmax(absmax, first, last);
  return dequantizeBlocks(
    { codes: codes.subarray(start / 2, Math.ceil(end / 2)), absmax: scales, table, blockSize },
    end - start,
  ) as Float32Array;
}

/** The scales of a 4-bit tensor's blocks, f32. */
export function absmaxOf({ absmax }: FourBitTensor): Float32Array {
  return absmax instanceof Float32Array ? absmax : dequantizeAbsmax(absmax);
}
