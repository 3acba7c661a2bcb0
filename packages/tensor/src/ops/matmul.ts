import { aBoolean, kind, options as optionsOf, signature } from '../arguments.js';
import { aTensor } from '../tensorKinds.js';
import { LowrankError } from '@lowrank/errors';
import type { OperandEncoding } from '../numeric/encoding.js';
import { checkEncoding, decode, EncodedMatrix, encodingParts } from '../numeric/encoding.js';
import type { Spec } from '../op.js';
import { apply, defineOp } from '../op.js';
import type { LeftForm } from '../spec.js';
import type { Tensor } from '../graph.js';
import { describe } from '../graph.js';
import { sameShape, shapeError, showShape, sizeOf } from '../shape.js';
import { reshape } from './view.js';

/** The attributes of `matmul`: how operands lie, and what is added in the epilogue. */
export interface MatmulAttrs {
  /** a is stored [K, M] instead of [M, K]. */
  readonly transposeA: boolean;
  /** b is stored [N, K] instead of [K, N]. */
  readonly transposeB: boolean;
  /** How b is stored, when it is not dense. Its first part stands where b does, the others follow. */
  readonly encoding?: OperandEncoding | undefined;
  /** `+ h·u` with h [M, R]: 'nt' when u is stored [N, R], 'nn' when it is [R, N]. Put there by the compiler. */
  readonly lowRank?: 'nt' | 'nn' | undefined;
  /** `+ c`: 'full' when c is [M, N] (batched as the result is), 'row' when it is [N]. Put there by the compiler. */
  readonly addend?: 'full' | 'row' | undefined;
  /** `s·(a·b)`, before the addend: s is the last input, one number. Put there by the compiler. */
  readonly scaled?: boolean | undefined;
  /** a is made of two operands, which stand in its place. Put there by the compiler. */
  readonly left?: LeftForm | undefined;
}

/**
 * y = a·b (+ h·u) (+ c), or s·(a·b) (+ c), accumulated in f32.
 *
 * Inputs: a, b, then h and u where `lowRank` is set, then c where `addend` is set, then s where `scaled` is. a and b
 * are matrices, or both carry the same leading batch axis ([batch, M, K]·[batch, K, N]; no low-rank part then). a is
 * f32; b is dense f32, f16 or bf16, or a plain matrix in another operand encoding (`encoding.ts`), whose parts then
 * stand in b's place. An encoding is a matter of the tile load (and of the panel packing on the CPU), never another op.
 */
export const matmulOp = defineOp<'matmul', MatmulAttrs>({
  name: 'matmul',
  infer(inputs, attrs) {
    const { batch, m, n } = matmulSizes(inputs, attrs);
    return [{ shape: batch === undefined ? [m, n] : [batch, m, n], dtype: 'f32' }];
  },
  vjp({ inputs, attrs, cotangents: [g], needs: [needA, needB] }) {
    const [a, b] = inputs;
    if (a === undefined || b === undefined || g === undefined) return [];
    const { transposeA, transposeB, encoding } = attrs;
    if (encoding !== undefined) {
      if (needB === true)
        throw new LowrankError({
          code: 'tensor.gradient',
          what: `the gradient of ${describe(b)}`,
          expected: 'a dense matrix',
          got: `a frozen ${encoding.kind} one`,
          remedy: 'Train an adapter over it, or load the weights in 32 bits.',
        });
      return [
        encodedProduct(g, new EncodedMatrix(encoding, inputs.slice(1, 1 + encodingParts(encoding))), !transposeB),
      ];
    }
    // y = op(a)·op(b): d op(a) = g·op(b)ᵀ and d op(b) = op(a)ᵀ·g; where an operand is stored transposed, the product is
    // taken the other way round.
    const da = transposeA ? () => product(b, g, transposeB, true) : () => product(g, b, false, !transposeB);
    const db = transposeB ? () => product(g, a, true, transposeA) : () => product(a, g, !transposeA, false);
    return [needA === true ? da() : undefined, needB === true ? db() : undefined];
  },
  reference({ inputs, inputSpecs, outputs: [y], attrs }) {
    const { a: stored, beside, b: parts, h, u, addend: c, scale: [scale = NaN] = [1] } = matmulOperands(inputs, attrs);
    const a = attrs.left === undefined ? stored : madeLeft(attrs.left, stored, beside);
    const b = attrs.encoding === undefined ? parts[0] : decode(attrs.encoding, parts);
    if (a === undefined || b === undefined || y === undefined) return;
    const { batch = 1, m, n, k, rank } = matmulSizes(inputSpecs, attrs);
    for (let at = 0; at < batch * m * n; at++) {
      const [which, row, column] = [Math.floor(at / (m * n)), Math.floor(at / n) % m, at % n];
      let total = 0;
      for (let i = 0; i < k; i++) {
        const left = a[which * m * k + (attrs.transposeA ? i * m + row : row * k + i)];
        const right = b[which * n * k + (attrs.transposeB ? column * k + i : i * n + column)];
        total += left * right;
      }
      for (let i = 0; i < rank; i++)
        total +=
          (h?.[row * rank + i] ?? NaN) * (u?.[attrs.lowRank === 'nt' ? column * rank + i : i * n + column] ?? NaN);
      y[at] = total * scale + (attrs.addend === undefined ? 0 : (c?.[attrs.addend === 'row' ? column : at] ?? NaN));
    }
  },
  absorbScale: (attrs) =>
    attrs.lowRank === undefined && attrs.addend === undefined && attrs.scaled !== true
      ? { ...attrs, scaled: true }
      : undefined,
  inPlace: ({ encoding, lowRank, addend, left }) => {
    const before = (left === undefined ? 1 : 2) + encodingParts(encoding) + (lowRank === undefined ? 0 : 2);
    return addend === 'full' ? [[before, 0]] : [];
  },
  flops(inputs, attrs) {
    const { batch = 1, m, n, k, rank } = matmulSizes(inputs, attrs);
    return 2 * batch * m * n * (k + rank);
  },
});

/** The operands of a product by what they are. `b` has a part per operand of the encoding. */
export interface MatmulOperands<T> {
  readonly a: T | undefined;
  /** What a is made with, where `left` is set. */
  readonly beside: T | undefined;
  readonly b: readonly T[];
  readonly h: T | undefined;
  readonly u: T | undefined;
  readonly addend: T | undefined;
  readonly scale: T | undefined;
}

/** The operands of a matmul by name, out of the list in which the op holds them. */
export function matmulOperands<T>(
  [a, ...rest]: readonly T[],
  { encoding, lowRank, addend, scaled, left }: MatmulAttrs,
): MatmulOperands<T> {
  const [beside] = left === undefined ? [] : rest.splice(0, 1);
  const b = rest.splice(0, encodingParts(encoding));
  const [h, u] = lowRank === undefined ? [] : rest.splice(0, 2);
  const [c] = addend === undefined ? [] : rest.splice(0, 1);
  return { a, beside, b, h, u, addend: c, scale: scaled === true ? rest[0] : undefined };
}

/** The left operand as the product reads it. */
function madeLeft(left: LeftForm, a: Float64Array | undefined, beside: Float64Array | undefined): Float64Array {
  if (a === undefined || beside === undefined) throw new TypeError('matmul lacks what its left operand is made of');
  if (left.form === 'swiglu') return a.map((x, at) => (x / (1 + Math.exp(-x))) * (beside[at] ?? NaN));
  const width = beside.length;
  return a.map((x, at) => {
    const start = at - (at % width);
    const mean = a.subarray(start, start + width).reduce((sum, value) => sum + value * value, 0) / width;
    return (x / Math.sqrt(mean + left.epsilon)) * (beside[at % width] ?? NaN);
  });
}

/** The sizes of a product, checked; `batch` is undefined for plain matrices, `rank` 0 without a low-rank part. */
export function matmulSizes(
  inputs: readonly Spec[],
  attrs: MatmulAttrs,
): { batch: number | undefined; m: number; n: number; k: number; rank: number } {
  const { a, b: parts, h, u, addend: c, scale } = matmulOperands(inputs, attrs);
  const { encoding } = attrs;
  const shown =
    inputs.map(({ shape, dtype }) => `${dtype}${showShape(shape)}`).join(' · ') + ` with ${JSON.stringify(attrs)}`;
  const fail = (expected: string): never => {
    throw shapeError('matmul', expected, shown);
  };
  if (encoding !== undefined) checkEncoding(encoding, parts);
  const b: Spec | undefined =
    encoding === undefined ? parts[0] : { shape: [encoding.rows, encoding.columns], dtype: 'f32' };
  if (a === undefined || b === undefined) return fail('two operands');
  if (a.dtype !== 'f32' || !['f32', 'f16', 'bf16'].includes(b.dtype)) fail('a in f32 and b in f32, f16 or bf16');
  if (encoding !== undefined && attrs.transposeA) fail('a as it is, beside an encoded matrix');
  if (a.shape.length !== b.shape.length || (a.shape.length !== 2 && a.shape.length !== 3))
    fail('two matrices, or two stacks of as many matrices');
  const batched = a.shape.length === 3;
  const [rowsA = 0, columnsA = 0] = a.shape.slice(-2);
  const [rowsB = 0, columnsB = 0] = b.shape.slice(-2);
  const [m, k] = attrs.transposeA ? [columnsA, rowsA] : [rowsA, columnsA];
  const [n, inner] = attrs.transposeB ? [rowsB, columnsB] : [columnsB, rowsB];
  if (k !== inner) fail(`equal inner sizes, here ${k} and ${inner}`);
  if (batched && a.shape[0] !== b.shape[0]) fail('equal batch sizes');
  const rank = h?.shape[1] ?? 0;
  if (
    h !== undefined &&
    (batched ||
      !sameShape(h.shape, [m, rank]) ||
      u === undefined ||
      !sameShape(u.shape, attrs.lowRank === 'nt' ? [n, rank] : [rank, n]))
  ) {
    fail(`a low-rank part of [${m}, r] and ${attrs.lowRank === 'nt' ? `[${n}, r]` : `[r, ${n}]`}`);
  }
  if (c !== undefined && sizeOf(c.shape) !== (attrs.addend === 'row' ? n : (batched ? (a.shape[0] ?? 1) : 1) * m * n))
    fail('an addend of the result’s size');
  if (scale !== undefined && (h !== undefined || sizeOf(scale.shape) !== 1)) fail('a scale of one number, and no h·u');
  return { batch: batched ? a.shape[0] : undefined, m, n, k, rank };
}

function product(a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean): Tensor {
  return apply(matmulOp, [a, b], { transposeA, transposeB });
}

export interface MatmulOptions {
  /** a is stored [K, M]. */
  transposeA?: boolean;
  /** b is stored [N, K]: the layout of a linear layer's weight. */
  transposeB?: boolean;
}

/** a·W or a·Wᵀ with W in an encoding; a […, K]. */
function encodedProduct(a: Tensor, { encoding, parts }: EncodedMatrix, transposeB: boolean): Tensor {
  const [k = 0] = a.shape.slice(-1);
  const y = apply(matmulOp, [reshape(a, [a.size / k, k]), ...parts], { transposeA: false, transposeB, encoding });
  return reshape(y, [...a.shape.slice(0, -1), y.shape[1]]);
}

/** A weight: dense, or in codes. */
export const aMatrix = kind(
  'a Tensor or an EncodedMatrix',
  (value) => aTensor.accepts(value) || value instanceof EncodedMatrix,
);
const checkMatmul = signature('matmul', {
  a: aTensor,
  b: aMatrix,
  options: optionsOf({ transposeA: aBoolean, transposeB: aBoolean }),
});
const checkLinear = signature('linear', { x: aTensor, weight: aMatrix });

/**
 * a·b. Leading axes of a are folded into its rows when b is a matrix ([…, M, K]·[K, N] → […, M, N]); otherwise both
 * have the same leading axes.
 */
export function matmul(a: Tensor, b: Tensor | EncodedMatrix, options: MatmulOptions = {}): Tensor {
  checkMatmul(a, b, options);
  const { transposeA = false, transposeB = false } = options;
  if (b instanceof EncodedMatrix) {
    if (transposeA) throw shapeError('matmul', 'a as it is, beside an encoded matrix', 'transposeA');
    return encodedProduct(a, b, transposeB);
  }
  if (a.shape.length < 2 || b.shape.length < 2)
    throw shapeError(
      'matmul',
      'operands of at least two axes',
      `${describe(a)} ${showShape(a.shape)} and ${describe(b)} ${showShape(b.shape)}`,
    );
  if (a.shape.length === 2 && b.shape.length === 2) return product(a, b, transposeA, transposeB);
  const lead = a.shape.slice(0, -2);
  const [rowsA = 0, columnsA = 0] = a.shape.slice(-2);
  if (b.shape.length === 2 && !transposeA) {
    const folded = product(reshape(a, [sizeOf(lead) * rowsA, columnsA]), b, false, transposeB);
    return reshape(folded, [...lead, rowsA, folded.shape[1]]);
  }
  if (!sameShape(lead, b.shape.slice(0, -2)))
    throw shapeError('matmul', 'the same leading axes', `${showShape(a.shape)} and ${showShape(b.shape)}`);
  const stack = (x: Tensor): Tensor => reshape(x, [sizeOf(lead), ...x.shape.slice(-2)]);
  const result = product(stack(a), stack(b), transposeA, transposeB);
  return reshape(result, [...lead, ...result.shape.slice(1)]);
}

/** x·Wᵀ with W stored [out, in], as torch.nn.functional.linear. */
export function linear(x: Tensor, weight: Tensor | EncodedMatrix): Tensor {
  checkLinear(x, weight);
  if (weight instanceof EncodedMatrix) return encodedProduct(x, weight, true);
  return x.shape.length === 1
    ? reshape(matmul(reshape(x, [1, x.size]), weight, { transposeB: true }), [weight.shape[0]])
    : matmul(x, weight, { transposeB: true });
}
