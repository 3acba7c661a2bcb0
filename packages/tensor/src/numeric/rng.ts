/**
 * Counter-based randomness: Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers:
 * as easy as 1, 2, 3"). A random number is a pure function of a key and a counter, so that no state has to be kept,
 * saved or raced for.
 */
export type Pair = readonly [number, number];

const rotations = [13, 15, 26, 6, 17, 29, 16, 24];

/** Encrypts a counter of two 32-bit words under a key of two 32-bit words. */
export function threefry(key: Pair, counter: Pair): Pair {
  const schedule = [key[0], key[1], (key[0] ^ key[1] ^ 0x1bd11bda) | 0];
  let x = (counter[0] + key[0]) | 0;
  let y = (counter[1] + key[1]) | 0;
  for (let round = 0; round < 20; round++) {
    const turn = rotations[round % 8];
    x = (x + y) | 0;
    y = ((y << turn) | (y >>> (32 - turn))) ^ x;
    if (round % 4 === 3) {
      const block = (round + 1) / 4;
      x = (x + schedule[block % 3]) | 0;
      y = (y + schedule[(block + 1) % 3] + block) | 0;
    }
  }
  return [x >>> 0, y >>> 0];
}

/** A number in [0, 1) with 24 random bits: exact in f32, so that every backend makes the same. */
export function threefryUniform(key: Pair, counter: Pair): number {
  return (threefry(key, counter)[0] >>> 8) / 2 ** 24;
}

/** A seeded stream of host numbers: for initial weights and shuffles, never for what runs on a device. */
export class Rng {
  private position = 0;

  constructor(
    readonly seed: number,
    readonly stream = 0,
  ) {}

  /** Uniform in [0, 1), 48 random bits. */
  uniform(): number {
    const [high, low] = threefry(
      [this.seed, this.stream],
      [Math.floor(this.position / 2 ** 32), this.position % 2 ** 32],
    );
    this.position++;
    return (high * 65536 + (low >>> 16)) / 2 ** 48;
  }

  /** Standard normal, by Box and Muller (1958). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** An integer in [0, bound). */
  integer(bound: number): number {
    return Math.floor(this.uniform() * bound);
  }
}
