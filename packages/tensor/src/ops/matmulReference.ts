import { decode } from '../numeric/encoding.js';
import type { ReferenceContext, Spec } from '../op.js';
import { shapeError, showShape } from '../shape.js';
import type { LeftForm } from '../spec.js';
import { matmulOperands, matmulSizes, matmulTerms, matmulTermSizes } from './matmulOperands.js';
import type { MatmulAttrs, MatmulSizes, MatmulTerm, TermOperands } from './matmulOperands.js';
import { swigluBackward, swigluOp } from './swiglu.js';

/** The reference of `matmul`: every product by itself, their sum scaled and added to, then the epilogue. */
export function matmulReference(context: ReferenceContext<MatmulAttrs>): void {
  const { inputs, inputSpecs, outputs, attrs } = context;
  const { beside, addend: c, scale: [scale = NaN] = [1], epilogue } = matmulOperands(inputs, attrs);
  const sizes = matmulTermSizes(inputSpecs, attrs);
  const [first = new Float64Array(), ...others] = matmulTerms(inputs, attrs).map(({ term, ...own }, at) => {
    const a = at > 0 || attrs.left === undefined ? own.a : madeLeft(attrs.left, own.a, beside);
    return termReference(term, { ...own, a }, sizes[at]);
  });
  if (attrs.epilogue?.form === 'swiglu') {
    const [y, ...kept] = outputs;
    swigluOp.reference({ ...context, inputs: [first, ...others], outputs: [y], attrs: {} });
    kept.forEach((output, at) => output.set([first, ...others][at]));
    return;
  }
  const { n } = matmulSizes(inputSpecs, attrs);
  const added = (at: number): number => c?.[attrs.addend === 'row' ? at % n : at] ?? 0;
  const result = first.map((value, at) => others.reduce((sum, other) => sum + other[at], value) * scale + added(at));
  if (attrs.epilogue === undefined) outputs[0].set(result);
  else swigluBackward.reference({ ...context, inputs: [...epilogue, result], outputs, attrs: attrs.epilogue });
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

/** How many results a matmul has. */
function resultsOf({ epilogue }: MatmulAttrs): number {
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

/** Every result has one shape. */
export function resultSpecs(inputs: readonly Spec[], attrs: MatmulAttrs): Spec[] {
  const { batch, m, n } = matmulSizes(inputs, attrs);
  const shape = batch === undefined ? [m, n] : [batch, m, n];
  return Array.from({ length: resultsOf(attrs) }, () => ({ shape, dtype: 'f32' }));
}
