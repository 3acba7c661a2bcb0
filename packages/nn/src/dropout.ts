import type { RandomState, Tensor } from '@lowrank/tensor';
import { dropout } from '@lowrank/tensor';

let current: RandomState | undefined;

/** Traces `fn` as training: dropout inside it draws from `state`. Outside, dropout does nothing. */
export function withDropout<T>(state: RandomState, fn: () => T): T {
  const outer = current;
  current = state;
  try {
    return fn();
  } finally {
    current = outer;
  }
}

/** Inverted dropout while training, x otherwise. `stream` tells one layer's draws from another's. */
export function trainingDropout(x: Tensor, rate: number, stream: number): Tensor {
  return current === undefined || rate === 0 ? x : dropout(x, rate, current, stream);
}
