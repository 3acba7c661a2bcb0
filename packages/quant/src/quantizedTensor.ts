import { LowrankError } from '@lowrank/errors';
import type { HostArray } from '@lowrank/tensor';
import type { OperandEncoding } from '@lowrank/tensor/op';
import { nestedHead, sizeOf } from '@lowrank/tensor/op';
import { dequantizeBlocks, quantizeBlocks } from './numeric/blocks.js';
import type { FloatDtype, Floats } from './numeric/floats.js';
import { throughF16, widen } from './numeric/floats.js';
import type { FourBitType } from './fourBit.js';
import { checkBlockSize, fourBitCodecs } from './fourBit.js';
import type { NestedAbsmax } from './numeric/nested.js';
import { dequantizeAbsmax, quantizeAbsmax } from './numeric/nested.js';
import { dequantizeRows, quantizeRows } from './numeric/rows.js';

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

/** Options of `quantize`. */
export interface QuantizeOptions {
  readonly type: QuantizationType;
  readonly shape: readonly number[];
  /** Of the numbers given. */
  readonly dtype: FloatDtype;
  /** Of a 4-bit type; bitsandbytes' own is 64. */
  readonly blockSize?: number | undefined;
  /** Of a 4-bit type: its scales are quantized too. */
  readonly doubleQuantization?: boolean | undefined;
}

/** Elements at a time, so that 16-bit numbers are never widened as a whole; a multiple of every block size. */
const chunk = 1 << 20;

/**
 * Quantizes a tensor that is in memory. int8 takes matrices only, and rounds them to f16 before (where f16 can hold
 * them), as bitsandbytes' Linear8bitLt does.
 *
 * @throws LowrankError `quant.notFinite`, `quant.blockSize`, `quant.shape`
 */
export function quantize(values: Floats, options: QuantizeOptions): QuantizedTensor {
  const quantizer = new Quantizer(options);
  const step = quantizer.chunkSize;
  for (let start = 0; start < values.length; start += step) quantizer.add(values.subarray(start, start + step));
  return quantizer.finish();
}

/** Quantizes a tensor that comes in pieces, so that only its codes are ever whole. */
export class Quantizer {
  /** Elements that every piece but the last must have. */
  readonly chunkSize: number;
  private readonly blockSize: number;
  private readonly codes: Uint8Array;
  private readonly absmax: Float32Array;
  private readonly scratch: Float32Array;
  private done = 0;
  private readonly size: number;

  /** @throws LowrankError `quant.blockSize`, `quant.shape` */
  constructor(private readonly options: QuantizeOptions) {
    const { type, shape, blockSize = 64 } = options;
    this.size = sizeOf(shape);
    if (type === 'int8') {
      const [rows, columns] = matrixShape(shape);
      this.blockSize = columns;
      this.chunkSize = Math.max(1, Math.floor(chunk / columns)) * columns;
      this.codes = new Uint8Array(this.size);
      this.absmax = new Float32Array(rows);
    } else {
      this.blockSize = checkBlockSize(blockSize);
      this.chunkSize = chunk;
      this.codes = new Uint8Array(Math.ceil(this.size / 2));
      this.absmax = new Float32Array(Math.ceil(this.size / blockSize));
    }
    this.scratch = new Float32Array(
      options.dtype === 'f32' && type !== 'int8' ? 0 : Math.min(this.chunkSize, this.size),
    );
  }

  /** @throws LowrankError `quant.notFinite`, `quant.shape` */
  add(values: Floats): void {
    const { blockSize, options, done } = this;
    const { type, dtype, shape } = options;
    const end = done + values.length;
    if (end > this.size || (values.length !== this.chunkSize && end !== this.size))
      throw misshapen(shape, `pieces of ${this.chunkSize} elements, and a last one`, `${values.length} after ${done}`);
    const absmax = this.absmax.subarray(done / blockSize, Math.ceil(end / blockSize));
    if (type === 'int8') {
      const x = widen(values, dtype, this.scratch);
      const asHalves = dtype === 'f16' || !fitsF16(x) ? x : throughF16(x, this.scratch);
      quantizeRows(asHalves, { codes: new Int8Array(this.codes.buffer, done, values.length), absmax }, blockSize);
    } else {
      quantizeBlocks(
        widen(values, dtype, this.scratch),
        { codes: this.codes.subarray(done / 2, Math.ceil(end / 2)), absmax },
        { codec: fourBitCodecs[type], blockSize },
      );
    }
    this.done = end;
  }

  /** @throws LowrankError `quant.shape` where elements are missing */
  finish(): QuantizedTensor {
    const { blockSize, codes, absmax, done, size } = this;
    const { type, shape, dtype, doubleQuantization = false } = this.options;
    if (done !== size) throw misshapen(shape, `${size} elements`, `${done}`);
    if (type === 'int8') return { type, shape: matrixShape(shape), codes: new Int8Array(codes.buffer), absmax };
    return {
      type,
      shape,
      blockSize,
      codes,
      absmax: doubleQuantization ? quantizeAbsmax(absmax) : absmax,
      table: fourBitCodecs[type].table,
      dtype,
    };
  }
}

function fitsF16(x: Float32Array): boolean {
  for (let i = 0; i < x.length; i++) if (!(Math.abs(x[i] ?? NaN) < 65_520)) return false;
  return true;
}

function matrixShape(shape: readonly number[]): readonly [number, number] {
  const [rows, columns] = shape;
  if (shape.length === 2 && rows !== undefined && columns !== undefined && rows * columns > 0) return [rows, columns];
  throw misshapen(shape, 'a matrix', `[${shape.join(', ')}]`);
}

function misshapen(shape: readonly number[], expected: string, got: string): LowrankError {
  return new LowrankError({ code: 'quant.shape', what: `a tensor [${shape.join(', ')}] to quantize`, expected, got });
}

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
