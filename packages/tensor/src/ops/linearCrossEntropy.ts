import type { Tensor } from '../graph.js';
import { shapeError, showShape } from '../shape.js';
import { add, mul, square, sub, tanh } from './elementwise.js';
import { crossEntropyRows } from './crossEntropyRows.js';
import { withGradient } from './custom.js';
import { matmul } from './matmul.js';
import { sum } from './reduce.js';
import { rows, stackRows } from './view.js';

export interface LinearCrossEntropyOptions {
  /** Rows of logits that exist at once; see {@link defaultChunkRows}. */
  chunkRows?: number;
  /** What is added to x·Wᵀ, term by term. */
  terms?: readonly ProductTerm[];
  /** Logits z become softcap·tanh(z/softcap) before the softmax (Gemma 2); 0 for none. */
  softcap?: number;
}

/** h·Bᵀ, with h [T, r] and B [V, r] of a small r: what a low-rank adapter adds to a projection, h = s·(x·Aᵀ). */
export interface ProductTerm {
  readonly h: Tensor;
  readonly b: Tensor;
}

/**
 * Σ over rows with a label ≥ 0 of cross-entropy(x·Wᵀ, label), with x [T, D], W [V, D] and labels i32 [T] → a scalar;
 * with terms over x·Wᵀ + Σ h·Bᵀ.
 *
 * The output projection and the loss in one: chunk by chunk of rows, logits are made, turned into loss and gradient in
 * place, and multiplied back into dx and dW in the forward pass, so that no more than one chunk of logits ever exists
 * (Liger Kernel's and Unsloth's scheme; Hsu et al. 2024). What nobody asks the gradient of is never computed.
 */
export function linearCrossEntropy(
  x: Tensor,
  weight: Tensor,
  labels: Tensor,
  {
    chunkRows = defaultChunkRows(x.shape[0] ?? 1, weight.shape[0] ?? 1),
    terms = [],
    softcap = 0,
  }: LinearCrossEntropyOptions = {},
): Tensor {
  const count = x.shape[0] ?? 0;
  if (
    x.shape.length !== 2 ||
    weight.shape.length !== 2 ||
    x.shape[1] !== weight.shape[1] ||
    labels.size !== count ||
    labels.shape.length !== 1
  ) {
    throw shapeError(
      'linearCrossEntropy',
      'x [T, D], weight [V, D], labels [T]',
      [x, weight, labels].map(({ shape }) => showShape(shape)).join(', '),
    );
  }
  for (const { h, b } of terms) {
    if (h.shape.length === 2 && h.shape[0] === count && b.shape.join() === `${weight.shape[0]},${h.shape[1]}`) continue;
    throw shapeError(
      'linearCrossEntropy',
      `terms of h [${count}, r] and B [${weight.shape[0]}, r]`,
      `${showShape(h.shape)} and ${showShape(b.shape)}`,
    );
  }
  const losses: Tensor[] = [];
  const inputGradients: Tensor[] = [];
  let weightGradient: Tensor | undefined;
  const termGradients = terms.map((): { h: Tensor[]; b: Tensor | undefined } => ({ h: [], b: undefined }));
  for (let start = 0; start < count; start += chunkRows) {
    const end = Math.min(start + chunkRows, count);
    const xs = rows(x, start, end);
    const hs = terms.map(({ h }) => rows(h, start, end));
    const logits = softCapped(
      terms.reduce((sum, { b }, at) => plusTerm(sum, hs[at], b), matmul(xs, weight, { transposeB: true })),
      softcap,
    );
    const [loss, dCapped] = crossEntropyRows(logits, rows(labels, start, end));
    if (loss === undefined || dCapped === undefined) continue;
    losses.push(loss);
    const dLogits = softcap > 0 ? mul(dCapped, sub(1, square(mul(logits, 1 / softcap)))) : dCapped;
    // Traced here, next to the chunk's logits, so that the chunk's memory is free before the next one begins. Unused
    // products are dropped by the compiler.
    inputGradients.push(matmul(dLogits, weight));
    const part = matmul(dLogits, xs, { transposeA: true });
    weightGradient = weightGradient === undefined ? part : add(weightGradient, part);
    for (const [at, { b }] of terms.entries()) {
      const [own, rowsOfH] = [termGradients[at], hs[at]];
      if (own === undefined || rowsOfH === undefined) continue;
      own.h.push(matmul(dLogits, b));
      const ofB = matmul(dLogits, rowsOfH, { transposeA: true });
      own.b = own.b === undefined ? ofB : add(own.b, ofB);
    }
  }
  const total = sum(stackRows(losses));
  return withGradient(total, [x, weight, ...terms.flatMap(({ h, b }) => [h, b])], (g, [needX, needW, ...needTerms]) => [
    needX === true ? mul(g, stackRows(inputGradients)) : undefined,
    needW === true && weightGradient !== undefined ? mul(g, weightGradient) : undefined,
    ...termGradients.flatMap(({ h, b }, at) => [
      needTerms[2 * at] === true ? mul(g, stackRows(h)) : undefined,
      needTerms[2 * at + 1] === true && b !== undefined ? mul(g, b) : undefined,
    ]),
  ]);
}

function plusTerm(sum: Tensor, h: Tensor | undefined, b: Tensor): Tensor {
  return h === undefined ? sum : add(sum, matmul(h, b, { transposeB: true }));
}

/** softcap·tanh(x/softcap), or x for a softcap of 0. */
export function softCapped(x: Tensor, softcap: number): Tensor {
  return softcap > 0 ? mul(tanh(mul(x, 1 / softcap)), softcap) : x;
}

/**
 * Rows per chunk: at most 256 and about 16 MiB of logits, and at most half of all rows; always a multiple of 64, so
 * that a chunk starts at an aligned place of its buffer.
 */
export function defaultChunkRows(count: number, vocabulary: number): number {
  const budget = Math.min(256, (16 * 2 ** 20) / (4 * vocabulary), count / 2);
  return Math.max(64, 64 * Math.floor(budget / 64));
}
