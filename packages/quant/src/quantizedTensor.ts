import { LowrankError } from '@lowrank/errors';
import type { HostArray } from '@lowrank/tensor';
import type { OperandEncoding } from '@lowrank/tensor/op';
import { nestedHead } from '@lowrank/tensor/op';
import type { FourBitType } from './fourBit.js';
import { fourBitCodecs } from './fourBit.js';
import type { FloatDtype } from './numeric/floats.js';
import type { NestedAbsmax } from './numeric/nested.js';

/** `nf4`, `fp4` or `int8`. */
export type QuantizationType = FourBitType | 'int8';

/** A tensor in 4-bit codes: bitsandbytes' Params4bit with its QuantState. */
export interface FourBitTensor {
  readonly type: FourBitType;
  readonly shape: readonly number[];
  /** Elements, in row-major order, that share a scale: blocks may cross rows. */
  readonly blockSize: number;
  /** [⌈size/2⌉]; element 2j in the high half of byte j. */
  readonly codes: Uint8Array;
  /** [blocks], or quantized once more. */
  readonly absmax: Float32Array | NestedAbsmax;
  /** The 16 values of the codes. */
  readonly table: Float32Array;
  /** What it was, and is when dequantized. */
  readonly dtype: FloatDtype;
}

/** A matrix in 8-bit codes: bitsandbytes' Int8Params. */
export interface Int8Tensor {
  readonly type: 'int8';
  readonly shape: readonly [rows: number, columns: number];
  /** [rows·columns] */
  readonly codes: Int8Array;
  /** [rows], bitsandbytes' SCB. */
  readonly absmax: Float32Array;
}

/** A tensor in codes of 4 or 8 bits. */
export type QuantizedTensor = FourBitTensor | Int8Tensor;

/** What an encoding needs to know of a quantized matrix. */
export type QuantizedLayout =
  | { readonly type: 'int8'; readonly shape: readonly number[] }
  | {
      readonly type: FourBitType;
      readonly shape: readonly number[];
      readonly blockSize: number;
      readonly nestedBlockSize?: number | undefined;
    };

/**
 * How a quantized matrix is encoded as an operand of matmul.
 *
 * @throws LowrankError `quant.shape` where it is no matrix
 */
export function encodingOf(layout: QuantizedLayout): OperandEncoding {
  const [rows, columns] = matrixShape(layout.shape);
  if (layout.type === 'int8') return { kind: 'rows8', rows, columns };
  const { type, blockSize, nestedBlockSize } = layout;
  return {
    kind: 'block4',
    rows,
    columns,
    blockSize,
    table: [...fourBitCodecs[type].table],
    ...(nestedBlockSize === undefined ? {} : { nestedBlockSize }),
  };
}

/** @throws LowrankError `quant.shape` where it is no matrix */
export function matrixShape(shape: readonly number[]): readonly [number, number] {
  const [rows, columns] = shape;
  if (shape.length === 2 && rows !== undefined && columns !== undefined && rows * columns > 0) return [rows, columns];
  throw misshapen(shape, 'a matrix', `[${shape.join(', ')}]`);
}

export function misshapen(shape: readonly number[], expected: string, got: string): LowrankError {
  return new LowrankError({ code: 'quant.shape', what: `a tensor [${shape.join(', ')}] to quantize`, expected, got });
}

/** A quantized matrix as an operand of matmul: its encoding, and its parts in the encoding's order. */
export function operandOf(tensor: QuantizedTensor): {
  readonly encoding: OperandEncoding;
  readonly parts: readonly HostArray[];
} {
  if (tensor.type === 'int8') return { encoding: encodingOf(tensor), parts: [tensor.codes, tensor.absmax] };
  const { absmax, codes } = tensor;
  if (absmax instanceof Float32Array) return { encoding: encodingOf(tensor), parts: [codes, absmax] };
  const nested = new Float32Array(nestedHead + absmax.absmax.length);
  nested.set(absmax.map);
  nested[nestedHead - 1] = absmax.offset;
  nested.set(absmax.absmax, nestedHead);
  return {
    encoding: encodingOf({ ...tensor, nestedBlockSize: absmax.blockSize }),
    parts: [codes, absmax.codes, nested],
  };
}

/** Bytes of codes and all that decodes them but a 4-bit type's table, which is a constant of the program. */
export function quantizedBytes(tensor: QuantizedTensor): number {
  return operandOf(tensor).parts.reduce((sum, part) => sum + part.byteLength, 0);
}
