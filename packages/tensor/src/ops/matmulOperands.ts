import { checkEncoding, encodingParts } from '../numeric/encoding.js';
import type { OperandEncoding } from '../numeric/encoding.js';
import { sameShape, shapeError, showShape, sizeOf } from '../shape.js';
import type { LeftForm, ProductEpilogue, ProductPart, Spec } from '../spec.js';

/** How the operands of one product lie, and what is added to it in the same sums. */
export interface MatmulTerm {
  /** a is stored [K, M] instead of [M, K]. */
  readonly transposeA: boolean;
  /** b is stored [N, K] instead of [K, N]. */
  readonly transposeB: boolean;
  /** How b is stored, when it is not dense. Its first part stands where b does, the others follow. */
  readonly encoding?: OperandEncoding | undefined;
  /** `+ h·u` with h [M, R]: 'nt' when u is stored [N, R], 'nn' when it is [R, N]. Put there by the compiler. */
  readonly lowRank?: 'nt' | 'nn' | undefined;
}

/** The attributes of `matmul`: how operands lie, and what is added in the epilogue. */
export interface MatmulAttrs extends MatmulTerm {
  /** `+ a₁·b₁ (+ h₁·u₁) + …`, each with an inner size of its own. Put there by the compiler. */
  readonly further?: readonly MatmulTerm[] | undefined;
  /** `+ c`: 'full' when c is [M, N] (batched as the result is), 'row' when it is [N]. Put there by the compiler. */
  readonly addend?: 'full' | 'row' | undefined;
  /** `s·(a·b)`, before the addend: s is one number. Put there by the compiler. */
  readonly scaled?: boolean | undefined;
  /** a is made of two operands, which stand in its place. Put there by the compiler. */
  readonly left?: LeftForm | undefined;
  /** What is made of the result where it is written, in its place. Put there by the compiler. */
  readonly epilogue?: ProductEpilogue | undefined;
  /** Thin products with its results, whose partial sums are further results. Put there by the compiler. */
  readonly parts?: readonly ProductPart[] | undefined;
}

/** The operands of one product by what they are. `b` has a part per operand of the encoding. */
export interface TermOperands<T> {
  readonly a: T | undefined;
  readonly b: readonly T[];
  readonly h: T | undefined;
  readonly u: T | undefined;
}

/** The operands of a matmul by what they are. */
export interface MatmulOperands<T> extends TermOperands<T> {
  /** What a is made with, where `left` is set. */
  readonly beside: T | undefined;
  readonly further: readonly TermOperands<T>[];
  readonly addend: T | undefined;
  readonly scale: T | undefined;
  /** What the epilogue reads, beside the result. */
  readonly epilogue: readonly T[];
  /** t of each of the `parts`, and the number that it is scaled by. */
  readonly parts: readonly { readonly t: T | undefined; readonly scale: T | undefined }[];
}

/** The operands of a matmul by name, out of the list in which the op holds them. */
export function matmulOperands<T>(
  operands: readonly T[],
  { left, further = [], addend, scaled, epilogue, parts = [], ...main }: MatmulAttrs,
): MatmulOperands<T> {
  const rest = [...operands];
  const take = (count: number): readonly T[] => rest.splice(0, count);
  const term = ({ encoding, lowRank }: MatmulTerm, count = 0): TermOperands<T> & { beside: T | undefined } => {
    const [a] = take(1);
    const [beside] = take(count);
    const b = take(encodingParts(encoding));
    const [h, u] = take(lowRank === undefined ? 0 : 2);
    return { a, beside, b, h, u };
  };
  const first = term(main, left === undefined ? 0 : 1);
  const others = further.map((each) => term(each));
  const [c] = take(addend === undefined ? 0 : 1);
  const [scale] = take(scaled === true ? 1 : 0);
  const read = take(epilogue?.form === 'swigluGradient' ? 2 : 0);
  const thin = parts.map((part) => {
    const [t, times] = take(part.scaled ? 2 : 1);
    return { t, scale: times };
  });
  return { ...first, further: others, addend: c, scale, epilogue: read, parts: thin };
}

/** Where the addend stands among the operands, and where the epilogue's begin. */
export function matmulPlaces(attrs: MatmulAttrs): { addend: number; epilogue: number } {
  const { left, further = [], addend, scaled } = attrs;
  const own = [attrs, ...further].map(
    ({ encoding, lowRank }) => 1 + encodingParts(encoding) + (lowRank === undefined ? 0 : 2),
  );
  const before = own.reduce((sum, count) => sum + count, left === undefined ? 0 : 1);
  return { addend: before, epilogue: before + (addend === undefined ? 0 : 1) + (scaled === true ? 1 : 0) };
}

/** The sizes of a product, checked; `batch` is undefined for plain matrices, `rank` 0 without a low-rank part. */
export interface MatmulSizes {
  readonly batch: number | undefined;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly rank: number;
}

/** The sizes of a matmul's first product. @throws LowrankError `tensor.shape` */
export function matmulSizes(inputs: readonly Spec[], attrs: MatmulAttrs): MatmulSizes {
  const { addend: c, scale, h } = matmulOperands(inputs, attrs);
  const fail = failing(inputs, attrs);
  const [sizes, ...others] = matmulTermSizes(inputs, attrs);
  if (sizes === undefined) return fail('two operands');
  const { batch, m, n } = sizes;
  if (others.length > 0 && (batch !== undefined || others.some((other) => other.m !== m || other.n !== n)))
    fail('further products of the result’s size');
  if (c !== undefined && sizeOf(c.shape) !== (attrs.addend === 'row' ? n : (batch ?? 1) * m * n))
    fail('an addend of the result’s size');
  if (scale !== undefined && (h !== undefined || sizeOf(scale.shape) !== 1)) fail('a scale of one number, and no h·u');
  return sizes;
}

/** A matmul's products, the first and the further ones: how each lies, and its operands. */
export function matmulTerms<T>(
  inputs: readonly T[],
  attrs: MatmulAttrs,
): readonly (TermOperands<T> & { readonly term: MatmulTerm })[] {
  const { transposeA, transposeB, encoding, lowRank, further = [] } = attrs;
  const { further: others, ...operands } = matmulOperands(inputs, attrs);
  return [
    { ...operands, term: { transposeA, transposeB, encoding, lowRank } },
    ...further.flatMap((term, at) => others.slice(at, at + 1).map((own) => ({ ...own, term }))),
  ];
}

/** The sizes of each product of a matmul, the first and the further ones. @throws LowrankError `tensor.shape` */
export function matmulTermSizes(inputs: readonly Spec[], attrs: MatmulAttrs): readonly MatmulSizes[] {
  const fail = failing(inputs, attrs);
  return matmulTerms(inputs, attrs).map(({ term, ...operands }) => termSizes(operands, term, fail));
}

type Fail = (expected: string) => never;

function failing(inputs: readonly Spec[], attrs: MatmulAttrs): Fail {
  return (expected) => {
    const shown = inputs.map(({ shape, dtype }) => `${dtype}${showShape(shape)}`).join(' · ');
    throw shapeError('matmul', expected, `${shown} with ${JSON.stringify(attrs)}`);
  };
}

function termSizes({ a, b: parts, h, u }: TermOperands<Spec>, term: MatmulTerm, fail: Fail): MatmulSizes {
  const { encoding, transposeA, transposeB, lowRank } = term;
  if (encoding !== undefined) checkEncoding(encoding, parts);
  const b: Spec | undefined =
    encoding === undefined ? parts[0] : { shape: [encoding.rows, encoding.columns], dtype: 'f32' };
  if (a === undefined || b === undefined) return fail('two operands');
  if (!['f32', 'f16'].includes(a.dtype) || !['f32', 'f16', 'bf16'].includes(b.dtype))
    fail('a in f32 and b in f32, f16 or bf16');
  if (encoding !== undefined && transposeA) fail('a as it is, beside an encoded matrix');
  if (a.shape.length !== b.shape.length || (a.shape.length !== 2 && a.shape.length !== 3))
    fail('two matrices, or two stacks of as many matrices');
  const batched = a.shape.length === 3;
  const [rowsA = 0, columnsA = 0] = a.shape.slice(-2);
  const [rowsB = 0, columnsB = 0] = b.shape.slice(-2);
  const [m, k] = transposeA ? [columnsA, rowsA] : [rowsA, columnsA];
  const [n, inner] = transposeB ? [rowsB, columnsB] : [columnsB, rowsB];
  if (k !== inner) fail(`equal inner sizes, here ${k} and ${inner}`);
  if (batched && a.shape[0] !== b.shape[0]) fail('equal batch sizes');
  const rank = h?.shape[1] ?? 0;
  if (
    h !== undefined &&
    (batched ||
      !sameShape(h.shape, [m, rank]) ||
      u === undefined ||
      !sameShape(u.shape, lowRank === 'nt' ? [n, rank] : [rank, n]))
  ) {
    fail(`a low-rank part of [${m}, r] and ${lowRank === 'nt' ? `[${n}, r]` : `[r, ${n}]`}`);
  }
  return { batch: batched ? a.shape[0] : undefined, m, n, k, rank };
}
