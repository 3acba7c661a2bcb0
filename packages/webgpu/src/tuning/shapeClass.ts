import type { ProductSize } from '../choices.js';

/** Products of one class get one form; the class is measured by the product of its own sizes. */
export interface ShapeClass {
  /** For people, files and checkpoints: `NT f32·bf16 512x768x768`. */
  readonly key: string;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** Sizes beyond these are measured as these: a device is full by then, and measuring should not take long. */
const most = { m: 1024, n: 2048, k: 2048 } as const;

/**
 * The class of a product: how its operands lie and are stored, and its sizes, each rounded up to 2ʲ or 3·2ʲ, but
 * staying off multiples of four where it is off them, as kernels load by fours where they can. Undefined for stacks of
 * matrices, and for products that are fused with more than an addend: none of these is measured.
 */
export function shapeClass({ batch, m, n, k, fused, ...lies }: ProductSize): ShapeClass | undefined {
  if (batch !== 1 || fused) return undefined;
  const { transposeA, transposeB, operands } = lies;
  const sizes = { m: rounded(m, most.m), n: rounded(n, most.n), k: rounded(k, most.k) };
  const sides = `${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'}`;
  return { key: `${sides} ${operands} ${sizes.m}x${sizes.n}x${sizes.k}`, ...sizes };
}

function rounded(size: number, largest: number): number {
  if (size <= 4) return size;
  const power = 2 ** Math.floor(Math.log2(size));
  const up = Math.min(largest, [power, 1.5 * power].find((each) => each >= size) ?? 2 * power);
  return size % 4 !== 0 && up % 4 === 0 ? up - 1 : up;
}
