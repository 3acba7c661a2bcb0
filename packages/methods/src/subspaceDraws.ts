import { threefry } from '@lowrank/tensor';

/** A key or a counter of the generator: two words of 32 bits. */
export type Pair = readonly [number, number];

/** 0 … size−1 in an order drawn for `block` (Fisher and Yates 1938), with a bit beside each that is 1 half of the time. */
export function shuffled(size: number, key: Pair, block: number): { readonly order: Int32Array; readonly bits: Uint8Array } {
  const order = Int32Array.from({ length: size }, (_, at) => at);
  const bits = new Uint8Array(size);
  for (let at = size - 1; at >= 0; at--) {
    const [word, other] = threefry(key, [block, at]);
    const from = Math.floor((word / 2 ** 32) * (at + 1));
    [order[at], order[from]] = [order[from] ?? 0, order[at] ?? 0];
    bits[at] = other & 1;
  }
  return { order, bits };
}

/** Two standard normal numbers from the two words of one draw, by Box and Muller (1958). */
export function normalPair(key: Pair, counter: Pair): readonly [number, number] {
  const [first, second] = threefry(key, counter);
  const radius = Math.sqrt(-2 * Math.log((first + 0.5) / 2 ** 32));
  const angle = (2 * Math.PI * second) / 2 ** 32;
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}
