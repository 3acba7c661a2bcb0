import type { DType } from '../dtype.js';
import type { Tensor } from '../graph.js';
import { shapeError } from '../shape.js';
import type { Spec } from '../spec.js';

/**
 * How a matrix lies in memory when its elements are codes: what a matmul's weight operand may be besides dense f32, f16
 * or bf16. The codes are read where the product reads its operand (the tile load of a GPU kernel, the panel packing on
 * the CPU), forward and for dX alike: a dense copy never exists.
 *
 * `block4`: W[i] = table[code(i)] · absmax(⌊i / blockSize⌋), i counting the matrix's elements row by row, so that a
 * block may cross rows. Codes are u8 [⌈size/2⌉], element 2j in the high half of byte j. absmax is f32 [blocks], or
 * nested: u8 [blocks] with a further f32 operand [257 + ⌈blocks/nestedBlockSize⌉] of map (256), offset (1) and the
 * codes' own absmax, then absmax(b) = map[q(b)] · nested[257 + ⌊b / nestedBlockSize⌋] + offset (Dettmers et al. 2023;
 * bitsandbytes' layout). With `minimums` a further f32 operand [blocks] is added: W[i] = table[code(i)] · absmax(b) +
 * minimum(b), b = ⌊i / blockSize⌋ (GGUF's Q4_1 and Q4_K, whose blocks have a smallest value).
 *
 * `block8`: W[i] = code(i) · scale(b) (+ minimum(b)), with codes i8 [size] and scale f32 [blocks] (GGUF's Q8_0, Q5_K
 * and Q6_K).
 *
 * `rows8`: W[r, c] = code[r, c] · absmax[r] · (1/127), with codes i8 [rows, columns] and absmax f32 [rows] (Dettmers et
 * al. 2022, LLM.int8's storage; the activations stay f32). Its rows may be looked up too, and lie in several buffers.
 */
export type OperandEncoding = Block4Encoding | Block8Encoding | Rows8Encoding;

/** A matrix in 4-bit codes with a scale for each block: bitsandbytes' NF4 and FP4. */
export interface Block4Encoding {
  readonly kind: 'block4';
  readonly rows: number;
  readonly columns: number;
  /** A multiple of 32. */
  readonly blockSize: number;
  /** The 16 values of the codes. */
  readonly table: readonly number[];
  /** Codes of absmax that share one scale; undefined where absmax is plain. */
  readonly nestedBlockSize?: number | undefined;
  /** Whether each block has a minimum, which is added; not where absmax is nested. */
  readonly minimums?: boolean | undefined;
}

export interface Block8Encoding {
  readonly kind: 'block8';
  readonly rows: number;
  readonly columns: number;
  /** A multiple of 16 that divides the columns: a block lies in one row. */
  readonly blockSize: number;
  /** Whether each block has a minimum, which is added. */
  readonly minimums?: boolean | undefined;
}

/** A matrix in 8-bit codes with a scale for each row: bitsandbytes' INT8. */
export interface Rows8Encoding {
  readonly kind: 'rows8';
  readonly rows: number;
  readonly columns: number;
}

/** Entries of a nested operand before the codes' own absmax: the 256 values of the map, and the offset. */
export const nestedHead = 257;

/** A matrix [rows, columns] in an encoding: frozen weights, no gradient flows into it. */
export class EncodedMatrix {
  constructor(
    readonly encoding: OperandEncoding,
    /** codes, absmax (or scales), and what decodes a nested absmax, or the minimums. */
    readonly parts: readonly Tensor[],
  ) {
    checkEncoding(
      encoding,
      parts.map(({ spec }) => spec),
    );
  }

  get shape(): readonly [rows: number, columns: number] {
    return [this.encoding.rows, this.encoding.columns];
  }
}

/** The operands that an encoding is made of, in order. */
export function encodingSpecs(encoding: OperandEncoding): readonly Spec[] {
  const { rows, columns } = encoding;
  if (encoding.kind === 'rows8') return [{ shape: [rows, columns], dtype: 'i8' }, spec('f32', rows)];
  const blocks = Math.ceil((rows * columns) / encoding.blockSize);
  const scales = Array.from({ length: encoding.minimums === true ? 2 : 1 }, () => spec('f32', blocks));
  if (encoding.kind === 'block8') return [spec('i8', rows * columns), ...scales];
  const codes = spec('u8', Math.ceil((rows * columns) / 2));
  if (encoding.nestedBlockSize === undefined) return [codes, ...scales];
  return [codes, spec('u8', blocks), spec('f32', nestedHead + Math.ceil(blocks / encoding.nestedBlockSize))];
}

/** Operands of a product that an encoding takes. */
export function encodingParts(encoding: OperandEncoding | undefined): number {
  return encoding === undefined ? 1 : encodingSpecs(encoding).length;
}

/** @throws LowrankError `tensor.shape` when the parts are not what the encoding calls for */
export function checkEncoding(encoding: OperandEncoding, parts: readonly Spec[]): void {
  const wanted = encodingSpecs(encoding);
  if (
    encoding.kind === 'block4' &&
    (encoding.table.length !== 16 || encoding.blockSize % 32 !== 0 || encoding.blockSize <= 0)
  ) {
    throw shapeError(
      'a 4-bit matrix',
      'a table of 16 values and a block size that is a multiple of 32',
      `${encoding.table.length} values, block size ${encoding.blockSize}`,
    );
  }
  if (encoding.kind === 'block4' && encoding.minimums === true && encoding.nestedBlockSize !== undefined)
    throw shapeError('a 4-bit matrix', 'minimums or a nested absmax', 'both');
  if (encoding.kind === 'block8' && !(encoding.blockSize % 16 === 0 && encoding.columns % encoding.blockSize === 0)) {
    throw shapeError(
      'an 8-bit matrix of blocks',
      'a block size that is a multiple of 16 and divides the columns',
      `block size ${encoding.blockSize}, ${encoding.columns} columns`,
    );
  }
  const show = (specs: readonly Spec[]): string =>
    specs.map(({ dtype, shape }) => `${dtype}[${shape.join()}]`).join(', ');
  if (show(wanted) !== show(parts))
    throw shapeError(`a ${encoding.kind} matrix of ${encoding.rows}×${encoding.columns}`, show(wanted), show(parts));
}

/** The matrix's elements row by row, in double precision: what the references compute on. */
export function decode(encoding: OperandEncoding, [codes, absmax, last]: readonly Float64Array[]): Float64Array {
  const size = encoding.rows * encoding.columns;
  const values = new Float64Array(size);
  if (encoding.kind === 'rows8')
    return values.map((_, i) => (codes[i] * absmax[Math.floor(i / encoding.columns)]) / 127);
  const { blockSize } = encoding;
  const minimumOf = (block: number): number => (encoding.minimums === true ? last[block] : 0);
  if (encoding.kind === 'block8') {
    return values.map((_, i) => {
      const block = Math.floor(i / blockSize);
      return codes[i] * absmax[block] + minimumOf(block);
    });
  }
  const { table, nestedBlockSize } = encoding;
  const scaleOf = (block: number): number => {
    const scale = absmax[block];
    if (nestedBlockSize === undefined) return scale;
    return last[scale] * last[nestedHead + Math.floor(block / nestedBlockSize)] + last[nestedHead - 1];
  };
  return values.map((_, i) => {
    const [byte, block] = [codes[i >> 1], Math.floor(i / blockSize)];
    return table[i % 2 === 0 ? byte >> 4 : byte & 15] * scaleOf(block) + minimumOf(block);
  });
}

function spec(dtype: DType, length: number): Spec {
  return { shape: [length], dtype };
}
