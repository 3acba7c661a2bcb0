import type { LoraMatrices } from './loraAdapter.js';
import type { LoraConfig } from './config.js';

/**
 * The configuration of an adapter that began as a part of W, written as plain LoRA over W itself: twice the rank and
 * the same factor on BA.
 */
export function plainConfig(config: LoraConfig): LoraConfig {
  const factor = config.useRslora ? Math.SQRT2 : 2;
  const times = (pattern: Readonly<Record<string, number>>, by: number): Record<string, number> =>
    Object.fromEntries(Object.entries(pattern).map(([key, value]) => [key, value * by]));
  return {
    ...config,
    r: config.r * 2,
    alpha: config.alpha * factor,
    rankPattern: times(config.rankPattern, 2),
    alphaPattern: times(config.alphaPattern, factor),
    init: 'kaiming',
  };
}

/**
 * The matrices of such an adapter (PiSSA, OLoRA) as those of plain LoRA: A' = [A; A₀] and B' = [B, −B₀], so that s·B'A'
 * = s·(BA − B₀A₀). Without an A₀ and B₀ (an embedding's) the rest is zero.
 */
export function plainMatrices(
  matrices: LoraMatrices,
  initial: { readonly a: Float32Array; readonly b: Float32Array } | undefined,
): LoraMatrices {
  const { a, b, rank, inFeatures, outFeatures } = matrices;
  const left = new Float32Array(2 * rank * inFeatures);
  const right = new Float32Array(2 * rank * outFeatures);
  left.set(a);
  if (initial !== undefined) left.set(initial.a, a.length);
  for (let out = 0; out < outFeatures; out++) {
    right.set(b.subarray(out * rank, (out + 1) * rank), 2 * out * rank);
    for (let k = 0; initial !== undefined && k < rank; k++)
      right[(2 * out + 1) * rank + k] = -(initial.b[out * rank + k] ?? NaN);
  }
  return { ...matrices, a: left, b: right, rank: 2 * rank };
}
