import { aNumber, anInteger, kind, oneOf, options as optionsOf, signature } from '../arguments.js';
import { aTensor } from '../tensorKinds.js';
import type { Tensor } from '../graph.js';
import { EncodedMatrix } from '../numeric/encoding.js';
import { sameShape, shapeError, showShape } from '../shape.js';
import { add, mul, square, sub, tanh } from './elementwise.js';
import type { LossTerms } from './crossEntropyRows.js';
import { crossEntropyRows } from './crossEntropyRows.js';
import { withGradient } from './custom.js';
import { aMatrix, matmul } from './matmul.js';
import { sum } from './reduce.js';
import { reshape, rows, stackRows } from './view.js';
import { tracedPrecision } from '../trace.js';

export interface LinearCrossEntropyOptions extends LossTerms {
  /** Rows of logits that exist at once; see {@link defaultChunkRows}. */
  chunkRows?: number;
  /** What is added to x·Wᵀ, term by term. */
  terms?: readonly ProductTerm[];
  /** Logits z become softcap·tanh(z/softcap) before the softmax (Gemma 2); 0 for none. */
  softcap?: number;
  /** The sum of the rows' losses (the default), or each row's own: [T], 0 for rows without a label. */
  reduction?: 'sum' | 'none';
}

/** h·Bᵀ, with h [T, r] and B [V, r] of a small r: what a low-rank adapter adds to a projection, h = s·(x·Aᵀ). */
export interface ProductTerm {
  readonly h: Tensor;
  readonly b: Tensor;
}

const checkLinearCrossEntropy = signature('linearCrossEntropy', {
  x: aTensor,
  weight: aMatrix,
  labels: aTensor,
  options: optionsOf({
    chunkRows: anInteger,
    terms: kind('an array of { h, b }', Array.isArray),
    softcap: aNumber,
    labelSmoothing: aNumber,
    zLoss: aNumber,
    reduction: oneOf('sum', 'none'),
  }),
});

/**
 * Σ over rows with a label ≥ 0 of cross-entropy(x·Wᵀ, label), with x [T, D], W [V, D] and labels i32 [T] → a scalar;
 * with terms over x·Wᵀ + Σ h·Bᵀ. A W in codes is frozen, and read as it is. With `reduction: 'none'` the losses are
 * not summed: [T].
 *
 * The output projection and the loss in one: chunk by chunk of rows, logits are made, turned into loss and gradient in
 * place, and multiplied back into dx and dW in the forward pass, so that no more than one chunk of logits ever exists
 * (Liger Kernel's and Unsloth's scheme; Hsu et al. 2024). What nobody asks the gradient of is never computed.
 *
 * Of losses that are not summed, each has a gradient g of its own. dx = g ⊙ what the forward pass has made; dW needs g
 * before the rows are added up, so that, where W is trained, the backward pass makes the logits again, chunk by chunk.
 */
export function linearCrossEntropy(
  x: Tensor,
  weight: Tensor | EncodedMatrix,
  labels: Tensor,
  options: LinearCrossEntropyOptions = {},
): Tensor {
  checkLinearCrossEntropy(x, weight, labels, options);
  const { terms = [], softcap = 0, labelSmoothing, zLoss, reduction = 'sum' } = options;
  const product = { x, weight, labels, terms };
  checkShapes(product);
  const count = x.shape[0];
  const chunkRows = options.chunkRows ?? defaultChunkRows(count, weight.shape[0] ?? 1);
  const loss = new ChunkedLoss(product, softcap, { labelSmoothing, zLoss });
  for (let start = 0; start < count; start += chunkRows) loss.addRows(start, Math.min(start + chunkRows, count));
  return reduction === 'sum' ? loss.total() : loss.each();
}

/** The loss's operands: logits are x·weightᵀ + Σ h·bᵀ over the terms. */
interface Product {
  readonly x: Tensor;
  readonly weight: Tensor | EncodedMatrix;
  readonly labels: Tensor;
  readonly terms: readonly ProductTerm[];
}

/** What may have a gradient: x, W (codes never have one), and h and B of each term. */
function inputsOf({ x, weight, terms }: Product): Tensor[] {
  const ofWeight = weight instanceof EncodedMatrix ? weight.parts.slice(0, 1) : [weight];
  return [x, ...ofWeight, ...terms.flatMap(({ h, b }) => [h, b])];
}

function checkShapes({ x, weight, labels, terms }: Product): void {
  const [count, width] = x.shape;
  const [vocabulary, weightWidth] = weight.shape;
  const matrices = x.shape.length === 2 && weight.shape.length === 2 && width === weightWidth;
  if (!matrices || labels.size !== count || labels.shape.length !== 1) {
    throw shapeError(
      'linearCrossEntropy',
      'x [T, D], weight [V, D], labels [T]',
      [x, weight, labels].map(({ shape }) => showShape(shape)).join(', '),
    );
  }
  for (const { h, b } of terms) {
    if (h.shape.length === 2 && h.shape[0] === count && sameShape(b.shape, [vocabulary, h.shape[1]])) continue;
    throw shapeError(
      'linearCrossEntropy',
      `terms of h [${count}, r] and B [${vocabulary}, r]`,
      `${showShape(h.shape)} and ${showShape(b.shape)}`,
    );
  }
}

/** The loss and its gradients, gathered chunk by chunk. */
class ChunkedLoss {
  private readonly losses: Tensor[] = [];
  private readonly bounds: (readonly [start: number, end: number])[] = [];
  /** dx of each chunk. */
  private readonly ofX: Tensor[] = [];
  private ofWeight: Tensor | undefined;
  private readonly ofTerms: readonly { readonly h: Tensor[]; b: Tensor | undefined }[];

  constructor(
    private readonly product: Product,
    private readonly softcap: number,
    private readonly lossTerms: LossTerms,
  ) {
    this.ofTerms = product.terms.map(() => ({ h: [], b: undefined }));
  }

  /** Traces rows start … end: their logits, their losses, and what they add to each gradient. */
  addRows(start: number, end: number): void {
    const { weight, terms } = this.product;
    const { xs, hs, loss, ofLogits } = this.chunk(start, end);
    this.bounds.push([start, end]);
    this.losses.push(loss);
    // Traced here, next to the chunk's logits, so that the chunk's memory is free before the next one begins. Unused
    // products are dropped by the compiler.
    this.ofX.push(matmul(ofLogits, weight));
    if (!(weight instanceof EncodedMatrix))
      this.ofWeight = plus(this.ofWeight, matmul(ofLogits, xs, { transposeA: true }));
    for (const [at, { b }] of terms.entries()) {
      const [gradient, ownRows] = [this.ofTerms[at], hs[at]];
      if (gradient === undefined || ownRows === undefined) continue;
      gradient.h.push(matmul(ofLogits, b));
      gradient.b = plus(gradient.b, matmul(ofLogits, ownRows, { transposeA: true }));
    }
  }

  /** The losses of rows start … end, and their gradients by the logits. */
  private chunk(start: number, end: number): { xs: Tensor; hs: Tensor[]; loss: Tensor; ofLogits: Tensor } {
    const { x, weight, labels, terms } = this.product;
    const xs = rows(x, start, end);
    const hs = terms.map(({ h }) => rows(h, start, end));
    const uncapped = terms.reduce(
      (sum, { b }, at) => plusTerm(sum, hs[at], b),
      matmul(xs, weight, { transposeB: true }),
    );
    const logits = softCapped(uncapped, this.softcap);
    const [loss, ofCapped] = crossEntropyRows(logits, rows(labels, start, end), this.lossTerms);
    if (loss === undefined || ofCapped === undefined) throw new TypeError('crossEntropyRows has two outputs');
    const ofLogits = this.softcap > 0 ? mul(ofCapped, sub(1, square(mul(logits, 1 / this.softcap)))) : ofCapped;
    return { xs, hs, loss, ofLogits };
  }

  /** Each row's loss, with a gradient of its own. */
  each(): Tensor {
    return withGradient(stackRows(this.losses), inputsOf(this.product), (g, needs) => {
      const column = reshape(g, [g.size, 1]);
      const scaled = (parts: readonly Tensor[]): Tensor => mul(column, stackRows(parts));
      const summed = this.weightGradients(g, needs);
      const made = [
        () => scaled(this.ofX),
        summed.weight,
        ...this.ofTerms.flatMap(({ h }, at) => [() => scaled(h), summed.terms[at]]),
      ];
      return made.map((gradient, at) => (needs[at] === true ? gradient?.() : undefined));
    });
  }

  /** Σ over rows of g ⊙ …: dW and dB, from logits that are made again where one of them is asked for. */
  private weightGradients(
    g: Tensor,
    needs: readonly boolean[],
  ): { weight: () => Tensor | undefined; terms: (() => Tensor | undefined)[] } {
    let weight: Tensor | undefined;
    const ofTerms = this.product.terms.map((): Tensor | undefined => undefined);
    if (needs.some((need, at) => need && at % 2 === 1))
      for (const [start, end] of this.bounds) {
        const { xs, hs, ofLogits } = this.chunk(start, end);
        const column = reshape(rows(g, start, end), [end - start, 1]);
        const product = (own: Tensor): Tensor => matmul(ofLogits, mul(column, own), { transposeA: true });
        if (!(this.product.weight instanceof EncodedMatrix)) weight = plus(weight, product(xs));
        hs.forEach((own, at) => (ofTerms[at] = plus(ofTerms[at], product(own))));
      }
    return { weight: () => weight, terms: ofTerms.map((term) => () => term) };
  }

  /** The sum of all losses, with the gradients as its rule. */
  total(): Tensor {
    return withGradient(sum(stackRows(this.losses)), inputsOf(this.product), (g, needs) => {
      const gradients = [
        () => stackRows(this.ofX),
        () => this.ofWeight,
        ...this.ofTerms.flatMap(({ h, b }) => [() => stackRows(h), () => b]),
      ];
      return gradients.map((gradient, at) => {
        const made = needs[at] === true ? gradient() : undefined;
        return made === undefined ? undefined : mul(g, made);
      });
    });
  }
}

function plus(total: Tensor | undefined, part: Tensor): Tensor {
  return total === undefined ? part : add(total, part);
}

function plusTerm(sum: Tensor, h: Tensor | undefined, b: Tensor): Tensor {
  return h === undefined ? sum : add(sum, matmul(h, b, { transposeB: true }));
}

/** softcap·tanh(x/softcap), or x for a softcap of 0. */
export function softCapped(x: Tensor, softcap: number): Tensor {
  return softcap > 0 ? mul(tanh(mul(x, 1 / softcap)), softcap) : x;
}

/**
 * Rows per chunk: about 64 MiB of logits (of 16 bits each in mixed precision), so that a large table is read seldom,
 * and at most an eighth of all rows, so that a chunk stays small beside the batch; always a multiple of 64, so that it
 * starts at an aligned place of its buffer.
 */
export function defaultChunkRows(count: number, vocabulary: number): number {
  const bytes = tracedPrecision() === 'mixed' ? 2 : 4;
  const budget = Math.min((64 * 2 ** 20) / (bytes * vocabulary), count / 8);
  return Math.max(64, 64 * Math.floor(budget / 64));
}
