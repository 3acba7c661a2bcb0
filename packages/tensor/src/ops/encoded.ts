import { checkEncoding, decode } from '../numeric/encoding.js';
import type { EncodedMatrix, OperandEncoding } from '../numeric/encoding.js';
import { apply, defineOp } from '../op.js';
import type { Tensor } from '../graph.js';

/** The attributes of `decodeMatrix`. */
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

/** The elements of an encoded matrix, f32 `[rows, columns]`. */
export function decodeMatrix({ encoding, parts }: EncodedMatrix): Tensor {
  return apply(decodeMatrixOp, parts, { encoding });
}
