import type { Tensor } from '../graph.js';
import { shapeError, showShape } from '../shape.js';
import { add, mul } from './elementwise.js';
import { crossEntropyRows } from './crossEntropyRows.js';
import { withGradient } from './custom.js';
import { matmul } from './matmul.js';
import { sum } from './reduce.js';
import { rows, stackRows } from './view.js';

export interface LinearCrossEntropyOptions {
  /** Rows of logits that exist at once; see {@link defaultChunkRows}. */
  chunkRows?: number;
}

/**
 * Σ over rows with a label ≥ 0 of cross-entropy(x·Wᵀ, label), with x [T, D], W [V, D] and labels i32 [T] → a scalar.
 *
 * The output projection and the loss in one: chunk by chunk of rows, logits are made, turned into loss and gradient in place, and multiplied back into
 * dx and dW in the forward pass, so that no more than one chunk of logits ever exists (Liger Kernel's and Unsloth's scheme; Hsu et al. 2024).
 * What nobody asks the gradient of is never computed.
 */
export function linearCrossEntropy(x: Tensor, weight: Tensor, labels: Tensor, { chunkRows = defaultChunkRows(x.shape[0] ?? 1, weight.shape[0] ?? 1) }: LinearCrossEntropyOptions = {}): Tensor {
  const count = x.shape[0] ?? 0;
  if (x.shape.length !== 2 || weight.shape.length !== 2 || x.shape[1] !== weight.shape[1] || labels.size !== count || labels.shape.length !== 1) {
    throw shapeError('linearCrossEntropy', 'x [T, D], weight [V, D], labels [T]', [x, weight, labels].map(({ shape }) => showShape(shape)).join(', '));
  }
  const losses: Tensor[] = [];
  const inputGradients: Tensor[] = [];
  let weightGradient: Tensor | undefined;
  for (let start = 0; start < count; start += chunkRows) {
    const end = Math.min(start + chunkRows, count);
    const xs = rows(x, start, end);
    const [loss, dLogits] = crossEntropyRows(matmul(xs, weight, { transposeB: true }), rows(labels, start, end));
    if (loss === undefined || dLogits === undefined) continue;
    losses.push(loss);
    // Traced here, next to the chunk's logits, so that the chunk's memory is free before the next one begins. Unused products are dropped by the compiler.
    inputGradients.push(matmul(dLogits, weight));
    const part = matmul(dLogits, xs, { transposeA: true });
    weightGradient = weightGradient === undefined ? part : add(weightGradient, part);
  }
  const total = sum(stackRows(losses));
  return withGradient(total, [x, weight], (g, [needX, needW]) => [
    needX === true ? mul(g, stackRows(inputGradients)) : undefined,
    needW === true && weightGradient !== undefined ? mul(g, weightGradient) : undefined,
  ]);
}

/**
 * Rows per chunk: at most 256 and about 16 MiB of logits, and at most half of all rows; always a multiple of 64, so that a chunk starts at an aligned
 * place of its buffer.
 */
export function defaultChunkRows(count: number, vocabulary: number): number {
  const budget = Math.min(256, (16 * 2 ** 20) / (4 * vocabulary), count / 2);
  return Math.max(64, 64 * Math.floor(budget / 64));
}
