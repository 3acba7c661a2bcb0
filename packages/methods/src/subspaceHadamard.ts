import type { Tensor } from '@lowrank/tensor';
import { matmul, permute, reshape } from '@lowrank/tensor';
import { deferred } from '@lowrank/tensor/op';

/** Bits of the largest factor: products of 32 by 32 are worth a matrix kernel. */
const factorBits = 5;

/**
 * The Walsh–Hadamard transform of each row of x [rows, n], n = 2^k, without a factor: y[i] = Σ over j of
 * (−1)^popcount(i & j) x[j] (Sylvester's order). H_n is the Kronecker product of small Hadamard matrices, so that it is
 * a matrix product for each of them: O(32·n) a row, on whatever runs matrix products fast. It is symmetric, and its own
 * gradient.
 */
export class Hadamard {
  private readonly factors: readonly Tensor[];

  constructor(readonly size: number) {
    const bits = Math.round(Math.log2(size));
    const count = Math.max(1, Math.ceil(bits / factorBits));
    const widths = Array.from(
      { length: count },
      (_, at) => 2 ** (Math.floor(bits / count) + (at < bits % count ? 1 : 0)),
    );
    const matrices = new Map([...new Set(widths)].map((width) => [width, hadamardMatrix(width)] as const));
    this.factors = widths.flatMap((width) => matrices.get(width) ?? []);
  }

  /** x [rows, n] → [rows, n] */
  apply(x: Tensor): Tensor {
    const { size, factors } = this;
    if (size === 1) return x;
    const lines = x.size / size;
    let y = x;
    // Each product turns the last axis; then that axis goes to the front, and after all of them the order is what it
    // was.
    for (const factor of [...factors].reverse()) {
      const width = factor.shape[0] ?? 1;
      y = matmul(reshape(y, [x.size / width, width]), factor);
      if (width < size) y = permute(reshape(y, [lines, size / width, width]), [0, 2, 1]);
    }
    return reshape(y, [lines, size]);
  }

  /** Frees the factors. */
  dispose(): void {
    for (const factor of this.factors) factor.dispose();
  }
}

function hadamardMatrix(size: number): Tensor {
  return deferred(
    () => Float32Array.from({ length: size * size }, (_, at) => (parity(Math.floor(at / size) & (at % size)) ? -1 : 1)),
    [size, size],
    { name: 'hadamard' },
  );
}

function parity(bits: number): boolean {
  let odd = false;
  for (let rest = bits; rest !== 0; rest &= rest - 1) odd = !odd;
  return odd;
}
