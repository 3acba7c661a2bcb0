import { checkpoint } from '@lowrank/tensor';

let asked = false;

/**
 * Traces `fn` with the blocks inside it checkpointed, if `enabled`: the forward pass keeps only what enters them, and
 * the backward pass computes them again.
 */
export function withCheckpointing<T>(enabled: boolean, fn: () => T): T {
  const outer = asked;
  asked = enabled;
  try {
    return fn();
  } finally {
    asked = outer;
  }
}

/** A block of a model, such as a decoder layer: what is computed twice under `withCheckpointing`. */
export function block<T>(fn: () => T): T {
  return asked ? checkpoint(fn) : fn();
}
