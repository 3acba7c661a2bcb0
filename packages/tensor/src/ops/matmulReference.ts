import { decode } from '../numeric/encoding.js';
import type { ReferenceContext, Spec } from '../op.js';
import { shapeError, showShape, sizeOf } from '../shape.js';
import { partSize } from '../spec.js';
import type { LeftForm, ProductPart } from '../spec.js';
import { matmulOperands, matmulSizes, matmulTerms, matmulTermSizes } from './matmulOperands.js';
import type { MatmulAttrs, MatmulSizes, MatmulTerm, TermOperands } from './matmulOperands.js';
import { swigluBackward, swigluOp } from './swiglu.js';

/** The reference of `matmul`: every product by itself, their sum scaled and added to, then the epilogue. */
export function matmulReference(context: ReferenceContext<MatmulAttrs>): void {
  const { inputs, inputSpecs, attrs } = context;
  const { beside, addend: c, scale: [scale = NaN] = [1], epilogue, parts } = matmulOperands(inputs, attrs);
  const sizes = matmulTermSizes(inputSpecs, attrs);
  const [first = new Float64Array(), ...others] = matmulTerms(inputs, attrs).map(({ term, ...own }, at) => {
    const a = at > 0 || attrs.left === undefined ? own.a : madeLeft(attrs.left, own.a, beside);
    return termReference(term, { ...own, a }, sizes[at]);
  });
  const { m, n } = matmulSizes(inputSpecs, attrs);
  const written = context.outputs.slice(0, resultsOf(attrs));
  const results = written.length > 1 || parts.length > 0 ? [0, 1, 2].map(() => new Float64Array(m * n)) : written;
  if (attrs.epilogue?.form === 'swiglu') {
    const [y = first] = results;
    swigluOp.reference({ ...context, inputs: [first, ...others], outputs: [y], attrs: {} });
    [first, ...others].forEach((operand, at) => results[at + 1]?.set(operand));
  } else {
    const added = (at: number): number => c?.[attrs.addend === 'row' ? at % n : at] ?? 0;
    const result = first.map((value, at) => others.reduce((sum, other) => sum + other[at], value) * scale + added(at));
    if (attrs.epilogue === undefined) results[0]?.set(result);
    else {
      const operands = [...epilogue, result];
      swigluBackward.reference({ ...context, inputs: operands, outputs: results, attrs: { forward: true } });
    }
  }
  if (results !== written) written.forEach((output, at) => output.set(results[at]));
  attrs.parts?.forEach((part, at) => {
    const { t, scale: [times = NaN] = [1] } = parts[at] ?? {};
    if (t === undefined) throw new TypeError('matmul lacks an operand');
    partReference(part, { result: results[part.of], t, scale: times, m, n }, context.outputs[written.length + at]);
  });
}

/** The partial sums of a thin product with a result. */
function partReference(
  { over, transposed }: ProductPart,
  { result, t, scale, m, n }: { result: Float64Array; t: Float64Array; scale: number; m: number; n: number },
  sums: Float64Array,
): void {
  const rank = t.length / (over === 'rows' ? m : n);
  for (let row = 0; row < m; row++)
    for (let column = 0; column < n; column++)
      for (let i = 0; i < rank; i++) {
        const value = scale * result[row * n + column];
        if (over === 'columns') {
          const weight = t[transposed ? i * n + column : column * rank + i];
          sums[(Math.floor(column / partSize) * m + row) * rank + i] += value * weight;
        } else {
          const at = transposed ? column * rank + i : i * n + column;
          sums[Math.floor(row / partSize) * n * rank + at] += value * t[row * rank + i];
        }
      }
}

function termReference(
  { encoding, transposeA, transposeB, lowRank }: MatmulTerm,
  { a, b: parts, h, u }: TermOperands<Float64Array>,
  { batch = 1, m, n, k, rank }: MatmulSizes,
): Float64Array {
  const b = encoding === undefined ? parts[0] : decode(encoding, parts);
  if (a === undefined) throw new TypeError('matmul lacks an operand');
  return new Float64Array(batch * m * n).map((_, at) => {
    const [which, row, column] = [Math.floor(at / (m * n)), Math.floor(at / n) % m, at % n];
    let total = 0;
    for (let i = 0; i < k; i++) {
      const left = a[which * m * k + (transposeA ? i * m + row : row * k + i)];
      const right = b[which * n * k + (transposeB ? column * k + i : i * n + column)];
      total += left * right;
    }
    for (let i = 0; i < rank; i++)
      total += (h?.[row * rank + i] ?? NaN) * (u?.[lowRank === 'nt' ? column * rank + i : i * n + column] ?? NaN);
    return total;
  });
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

/** How many results a matmul writes, beside partial sums. */
export function resultsOf({ epilogue }: MatmulAttrs): number {
  if (epilogue === undefined) return 1;
  if (epilogue.form === 'swiglu') return epilogue.keeps ? 3 : 1;
  return epilogue.forward === true ? 3 : 2;
}

/** The results of a matmul of a program's own: a in f32 (in f16 only where the planner keeps it so). */
export function inferProduct(inputs: readonly Spec[], attrs: MatmulAttrs): Spec[] {
  if (matmulTerms(inputs, attrs).some(({ a, h }) => a?.dtype === 'f16' || h?.dtype === 'f16'))
    throw shapeError('matmul', 'a in f32', inputs.map(({ shape, dtype }) => `${dtype}${showShape(shape)}`).join(' · '));
  return resultSpecs(inputs, attrs);
}

/** Every result has one shape; partial sums follow. @throws LowrankError `tensor.shape` */
export function resultSpecs(inputs: readonly Spec[], attrs: MatmulAttrs): Spec[] {
  const { batch, m, n } = matmulSizes(inputs, attrs);
  const shape = batch === undefined ? [m, n] : [batch, m, n];
  const results = Array.from({ length: resultsOf(attrs) }, (): Spec => ({ shape, dtype: 'f32' }));
  const { parts } = matmulOperands(inputs, attrs);
  const sums = (attrs.parts ?? []).map(({ over, transposed }, at): Spec => {
    const size = sizeOf(parts[at]?.t?.shape ?? []);
    if (over === 'columns') return { shape: [Math.ceil(n / partSize), m, size / n], dtype: 'f32' };
    const sides = transposed ? [n, size / m] : [size / m, n];
    return { shape: [Math.ceil(m / partSize), ...sides], dtype: 'f32' };
  });
  return [...results, ...sums];
}
