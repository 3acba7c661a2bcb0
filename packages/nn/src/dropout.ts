import type { RandomState, Tensor } from '@lowrank/tensor';
import { dropout } from '@lowrank/tensor';
import { anInteger, aNumber, signature } from '@lowrank/tensor/op';
import type { Layer } from './module.js';
import { Module } from './module.js';

let current: RandomState | undefined;

/** Traces `fn` as training: dropout inside it takes its random numbers from `state`. Outside, dropout does nothing. */
export function withDropout<T>(state: RandomState, fn: () => T): T {
  const outer = current;
  current = state;
  try {
    return fn();
  } finally {
    current = outer;
  }
}

/** Inverted dropout while training, x otherwise. `stream` sets one layer's random numbers apart from another's. */
export function trainingDropout(x: Tensor, rate: number, stream: number): Tensor {
  return current === undefined || rate === 0 ? x : dropout(x, rate, current, stream);
}

const checkDropout = signature('new Dropout', { rate: aNumber, stream: anInteger });

/**
 * `trainingDropout` as a layer, as torch.nn.Dropout: it drops only within `withDropout`. Give each Dropout of a network
 * a `stream` of its own, else two of one shape drop the same elements.
 */
export class Dropout extends Module implements Layer {
  constructor(
    readonly rate: number,
    readonly stream: number,
  ) {
    super();
    checkDropout(rate, stream);
  }

  forward(x: Tensor): Tensor {
    return trainingDropout(x, this.rate, this.stream);
  }
}
