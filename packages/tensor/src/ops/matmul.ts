import { aBoolean, kind, options as optionsOf, signature } from '../arguments.js';
import { aTensor } from '../tensorKinds.js';
import { LowrankError } from '@lowrank/errors';
import { EncodedMatrix, encodingParts } from '../numeric/encoding.js';
import { apply, defineOp } from '../op.js';
import type { Tensor } from '../graph.js';
import { describe } from '../graph.js';
import { sameShape, shapeError, showShape, sizeOf } from '../shape.js';
import { matmulOperands, matmulPlaces, matmulSizes, matmulTerms, matmulTermSizes } from './matmulOperands.js';
import type { MatmulAttrs } from './matmulOperands.js';
import { inferProduct, matmulReference, resultsOf } from './matmulReference.js';
import { reshape } from './view.js';

/**
 * y = a·b (+ h·u) (+ a₁·b₁ (+ h₁·u₁) …) (+ c), or s·(a·b) (+ c), accumulated in f32; with an epilogue what that makes
 * of it.
 *
 * Inputs: a, b, then h and u where `lowRank` is set, the same of each of the `further` products, then c where `addend`
 * is set, then s where `scaled` is, then what the epilogue reads, then t of each of the `parts` (and its scale). a and
 * b are matrices, or both carry the same leading batch axis ([batch, M, K]·[batch, K, N]; no low-rank part, further
 * product or epilogue then). a is f32; b is dense f32, f16 or bf16, or a plain matrix in another operand encoding
 * (`encoding.ts`), whose parts then stand in b's place. An encoding is a matter of the tile load (and of the panel
 * packing on the CPU), never another op.
 */
export const matmulOp = defineOp<'matmul', MatmulAttrs>({
  name: 'matmul',
  infer: inferProduct,
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
  reference: matmulReference,
  absorbScale: (attrs) =>
    attrs.lowRank === undefined && attrs.addend === undefined && attrs.scaled !== true
      ? { ...attrs, scaled: true }
      : undefined,
  // What is added is a sum itself, and the scale one number.
  halves: (attrs) => {
    const { epilogue } = matmulPlaces(attrs);
    const operands = Array.from(
      { length: epilogue + (attrs.epilogue?.form === 'swigluGradient' ? 2 : 0) },
      (_, at) => at,
    );
    const factors = matmulTerms(operands, attrs).flatMap(({ term, a, b, h, u }) => [
      a,
      ...(term.encoding === undefined ? b : []),
      h,
      u,
    ]);
    const inputs = [...factors.filter((at) => at !== undefined), ...operands.slice(epilogue)];
    return { inputs, outputs: Array.from({ length: resultsOf(attrs) }, (_, at) => at) };
  },
  inPlace: (attrs) => {
    const { addend, epilogue } = matmulPlaces(attrs);
    if (attrs.epilogue?.form === 'swigluGradient')
      return [
        [epilogue, 0],
        [epilogue + 1, 1],
      ];
    return attrs.addend === 'full' ? [[addend, 0]] : [];
  },
  prune: (attrs, [, ...used]) =>
    attrs.epilogue?.form === 'swiglu' && attrs.epilogue.keeps && attrs.parts === undefined && !used.includes(true)
      ? { ...attrs, epilogue: { ...attrs.epilogue, keeps: false } }
      : attrs,
  flops(inputs, attrs) {
    const { batch = 1, m, n } = matmulSizes(inputs, attrs);
    const inner = matmulTermSizes(inputs, attrs).reduce((sum, { k, rank }) => sum + k + rank, 0);
    const after = attrs.epilogue === undefined ? 0 : attrs.epilogue.form === 'swiglu' ? 5 : 10;
    const { parts } = matmulOperands(inputs, attrs);
    const ranks = (attrs.parts ?? []).map(
      ({ over }, at) => sizeOf(parts[at]?.t?.shape ?? []) / (over === 'rows' ? m : n),
    );
    return batch * m * n * (2 * inner + after + 2 * ranks.reduce((sum, rank) => sum + rank, 0));
  },
});

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
