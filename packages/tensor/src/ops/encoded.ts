import { checkEncoding, decode } from '../numeric/encoding.js';
import type { EncodedMatrix, OperandEncoding } from '../numeric/encoding.js';
import { apply, applyAll, defineOp } from '../op.js';
import type { Tensor } from '../graph.js';
import { shapeError, sizeOf } from '../shape.js';

export interface QuantizeBlocksAttrs {
  /** Elements that share an absmax; even. */
  readonly blockSize: number;
  /** 15 ascending numbers in [−1, 1]: a value's code is `codes[i]` with i = how many of them lie strictly below it. */
  readonly boundaries: readonly number[];
  readonly codes: readonly number[];
}

/**
 * x in blocks of 4-bit codes: absmax(b) = max |x| over block b, code(i) = codes[#{boundaries < x[i]·(1/absmax)}], and
 * code of 0 for a block of zeros (Dettmers et al. 2023). x of any shape in f32, f16 or bf16 → codes u8 [⌈size/2⌉],
 * element 2j in the high half of byte j, and absmax f32 [blocks].
 */
export const quantizeBlocksOp = defineOp<'quantizeBlocks', QuantizeBlocksAttrs>({
  name: 'quantizeBlocks',
  infer([x], { blockSize, boundaries, codes }) {
    if (x === undefined || !['f32', 'f16', 'bf16'].includes(x.dtype))
      throw shapeError('quantizeBlocks', 'f32, f16 or bf16', `${x?.dtype}`);
    if (blockSize <= 0 || blockSize % 32 !== 0 || boundaries.length !== 15 || codes.length !== 16) {
      throw shapeError(
        'quantizeBlocks',
        'a block size that is a multiple of 32, 15 boundaries and 16 codes',
        `${blockSize}, ${boundaries.length} and ${codes.length}`,
      );
    }
    const size = sizeOf(x.shape);
    return [
      { shape: [Math.ceil(size / 2)], dtype: 'u8' },
      { shape: [Math.ceil(size / blockSize)], dtype: 'f32' },
    ];
  },
  reference({ inputs: [x], outputs: [bytes, absmax], attrs: { blockSize, boundaries, codes } }) {
    x.forEach(
      (value, i) => (absmax[Math.floor(i / blockSize)] = Math.max(absmax[Math.floor(i / blockSize)], Math.abs(value))),
    );
    x.forEach((value, i) => {
      const scale = absmax[Math.floor(i / blockSize)];
      const place = scale === 0 ? 0 : value / scale;
      const code = codes[boundaries.filter((boundary) => place > boundary).length];
      bytes[i >> 1] += i % 2 === 0 ? 16 * code : code;
    });
  },
});

export function quantizeBlocks(x: Tensor, attrs: QuantizeBlocksAttrs): { codes: Tensor; absmax: Tensor } {
  const [codes, absmax] = applyAll(quantizeBlocksOp, [x], attrs);
  if (codes === undefined || absmax === undefined) throw new TypeError('quantizeBlocks has two outputs');
  return { codes, absmax };
}

export interface DecodeAttrs {
  readonly encoding: OperandEncoding;
}

/**
 * An encoded matrix's parts → its elements, f32 [rows, columns]. For merging and checks: products read codes as they
 * are.
 */
export const decodeMatrixOp = defineOp<'decodeMatrix', DecodeAttrs>({
  name: 'decodeMatrix',
  infer(parts, { encoding }) {
    checkEncoding(encoding, parts);
    return [{ shape: [encoding.rows, encoding.columns], dtype: 'f32' }];
  },
  reference({ inputs, outputs: [y], attrs: { encoding } }) {
    y.set(decode(encoding, inputs));
  },
});

export function decodeMatrix({ encoding, parts }: EncodedMatrix): Tensor {
  return apply(decodeMatrixOp, parts, { encoding });
}
