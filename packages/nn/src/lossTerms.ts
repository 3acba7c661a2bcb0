import type { LossTerms } from '@lowrank/tensor';

let current: LossTerms = {};

/**
 * Traces `fn` with terms on the cross-entropy of a language model: label smoothing, z-loss. They are meant for
 * training; outside, the loss is the plain cross-entropy.
 */
export function withLossTerms<T>(terms: LossTerms, fn: () => T): T {
  const outer = current;
  current = terms;
  try {
    return fn();
  } finally {
    current = outer;
  }
}

/** The terms that the loss traced now has. */
export function lossTerms(): LossTerms {
  return current;
}
