import { checkpoint } from '@lowrank/tensor';

let asked = 0;
let begun = 0;

/**
 * Traces `fn` with the blocks inside it checkpointed, all of them or the first so many: the forward pass keeps only
 * what enters them, and the backward pass computes them again.
 */
export function withCheckpointing<T>(blocks: boolean | number, fn: () => T): T {
  const outer = [asked, begun] as const;
  [asked, begun] = [typeof blocks === 'number' ? blocks : blocks ? Infinity : 0, 0];
  try {
    return fn();
  } finally {
    [asked, begun] = outer;
  }
}

/** A block of a model, such as a decoder layer: what is computed twice under `withCheckpointing`. */
export function block<T>(fn: () => T): T {
  return begun++ < asked ? checkpoint(fn) : fn();
}
