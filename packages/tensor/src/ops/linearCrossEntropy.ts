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
  /** Logits z become softcap·tanh(z/softcap) before the softmax (Gemma 2); 0 for none. */
  softcap?: number;
}

/**
 * Σ over rows with a label ≥ 0 of cross-entropy(x·Wᵀ, label), with x [T, D], W [V, D] and labels i32 [T] → a scalar.
 *
 * The output projection and the loss in one: chunk by chunk of rows, logits are made, turned into loss and gradient in place, and multiplied back into
 * dx and dW in the forward pass, so that no more than one chunk of logits ever exists (Liger Kernel's and Unsloth's scheme; Hsu et al. 2024).
 * What nobody asks the gradient of is never computed.
 */
export function linearCrossEntropy(x: Tensor, weight: Tensor, labels: Tensor, { chunkRows = defaultChunkRows(x.shape[0] ?? 1, weight.shape[0] ?? 1), softcap = 0 }: LinearCrossEntropyOptions = {}): Tensor {
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
    const logits = softCapped(matmul(xs, weight, { transposeB: true }), softcap);
    const [loss, dCapped] = crossEntropyRows(logits, rows(labels, start, end));
    if (loss === undefined || dCapped === undefined) continue;
    losses.push(loss);
    const dLogits = softcap > 0 ? mul(dCapped, sub(1, square(mul(logits, 1 / softcap)))) : dCapped;
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

/** softcap·tanh(x/softcap), or x for a softcap of 0. */
export function softCapped(x: Tensor, softcap: number): Tensor {
  return softcap > 0 ? mul(tanh(mul(x, 1 / softcap)), softcap) : x;
}

/**
 * Rows per chunk: at most 256 and about 16 MiB of logits, and at most half of all rows; always a multiple of 64, so that a chunk starts at an aligned
 * place of its buffer.
 */
export function defaultChunkRows(count: number, vocabulary: number): number {
  const budget = Math.min(256, (16 * 2 ** 20) / (4 * vocabulary), count / 2);
  return Math.max(64, 64 * Math.floor(budget / 64));
}
