import { aFunction, signature } from './arguments.js';
let current: number | undefined;
let next = 1;

const checkCheckpoint = signature('checkpoint', { fn: aFunction });

/**
 * Marks what `fn` traces as a block to be computed twice: the forward pass keeps only what the block reads and what it
 * returns, and `grad` computes the rest again right before the block's gradient (Chen et al. 2016). Memory for the
 * price of a second forward pass; the values are the same, for kernels are deterministic and random numbers are
 * functions of their counters. A block within a block belongs to the outer one. Where nobody asks for a gradient
 * nothing changes.
 */
export function checkpoint<T>(fn: () => T): T {
  checkCheckpoint(fn);
  if (current !== undefined) return fn();
  current = next++;
  try {
    return fn();
  } finally {
    current = undefined;
  }
}

/** The block that an op made now belongs to. */
export function currentBlock(): number | undefined {
  return current;
}
