import { sizeOf } from '@lowrank/tensor/op';
import { checkBlockSize, fourBitCodecs } from './fourBit.js';
import { quantizeBlocks } from './numeric/blocks.js';
import type { FloatDtype, Floats } from './numeric/floats.js';
import { throughF16, widen } from './numeric/floats.js';
import { quantizeAbsmax } from './numeric/nested.js';
import { quantizeRows } from './numeric/rows.js';
import type { QuantizationType, QuantizedTensor } from './quantizedTensor.js';
import { matrixShape, misshapen } from './quantizedTensor.js';

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
