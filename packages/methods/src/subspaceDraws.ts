import { threefry } from '@lowrank/tensor/op';

/** A key or a counter of the generator: two words of 32 bits. */
export type ThreefryPair = readonly [number, number];

/** 0 … size−1 in a random order for a block, each with a bit that is 1 half of the time. */
export interface Shuffled {
  readonly order: Int32Array;
  readonly bits: Uint8Array;
}

/** Draws the order of a block (Fisher and Yates 1938), into arrays of `size` where they are given. */
export function shuffled(
  size: number,
  key: ThreefryPair,
  block: number,
  into: Shuffled = { order: new Int32Array(size), bits: new Uint8Array(size) },
): Shuffled {
  const { order, bits } = into;
  for (let at = 0; at < size; at++) order[at] = at;
  for (let at = size - 1; at >= 0; at--) {
    const [word, other] = threefry(key, [block, at]);
    const from = Math.floor((word / 2 ** 32) * (at + 1));
    const moved = order[at] ?? 0;
    order[at] = order[from] ?? 0;
    order[from] = moved;
    bits[at] = other & 1;
  }
  return into;
}

/** Two standard normal numbers from the two words of one draw, by Box and Muller (1958). */
export function normalPair(key: ThreefryPair, counter: ThreefryPair): readonly [number, number] {
  const [first, second] = threefry(key, counter);
  const radius = Math.sqrt(-2 * Math.log((first + 0.5) / 2 ** 32));
  const angle = (2 * Math.PI * second) / 2 ** 32;
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}
