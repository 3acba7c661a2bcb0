/**
 * Philox2x32-10, a counter-based generator: the same key and counter give the same 64 bits in every runtime, in any
 * order, with no state to save (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011). Used to shuffle
 * rows.
 */
export function philox2x32(key: number, counter: readonly [number, number]): [number, number] {
  let k = key >>> 0;
  let low = counter[0] >>> 0;
  let high = counter[1] >>> 0;
  for (let round = 0; round < 10; round++) {
    const [productHigh, productLow] = multiply(0xd256d193, low);
    low = (productHigh ^ k ^ high) >>> 0;
    high = productLow;
    k = (k + 0x9e3779b9) >>> 0;
  }
  return [low, high];
}

/** High and low 32 bits of a 64-bit product, from 16-bit halves. */
function multiply(a: number, b: number): [number, number] {
  const aHigh = a >>> 16;
  const aLow = a & 0xffff;
  const bHigh = b >>> 16;
  const bLow = b & 0xffff;
  const low = aLow * bLow;
  const middle = aHigh * bLow + (low >>> 16);
  const cross = aLow * bHigh + (middle % 0x10000);
  const high = aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(cross / 0x10000);
  return [high >>> 0, Math.imul(a, b) >>> 0];
}

/**
 * A permutation of `0 … count-1` by Fisher and Yates' shuffle; swap i draws from `philox2x32(seed, [i, stream])`. A
 * draw is a 53-bit fraction times the range, so no choice is favoured by more than 2^-53 of it times `count`.
 */
export function shuffled(count: number, draw: { readonly seed: number; readonly stream: number }): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const [a, b] = philox2x32(draw.seed, [i, draw.stream]);
    const fraction = (a * 2 ** 21 + (b >>> 11)) / 2 ** 53;
    const j = Math.floor(fraction * (i + 1));
    const kept = order[i] ?? 0;
    order[i] = order[j] ?? 0;
    order[j] = kept;
  }
  return order;
}
