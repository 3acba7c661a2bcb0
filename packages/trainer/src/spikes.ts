import { LowrankError } from '@lowrank/errors';

/** What becomes of a step whose loss is far above those before it. */
export const spikeRules = ['ignore', 'rollback', 'stop'] as const;
/** What happens after a loss far above those before it: `ignore`, `rollback` or `stop`. */
export type SpikeRule = (typeof spikeRules)[number];

/** Losses that a loss is compared with: so many at most, and from so many on. */
export const spikeWindow = { most: 50, least: 20 };
/** So many rollbacks, with no whole window of other steps between them, are no bad batch. */
export const mostRollbacks = 3;

export interface LossHistoryOptions {
  /** Times the median, from which on a loss may be a spike. */
  readonly factor: number;
  /** Losses before, of a training that goes on. */
  readonly recent?: readonly number[] | undefined;
}

/**
 * The last losses of a training. A loss is a spike where it is above `factor` times their median, and above the median
 * by more than six standard deviations of a normal distribution with their spread (6 · 1.4826 · the median of their
 * distances from it): losses that differ much from batch to batch are none.
 */
export class LossHistory {
  readonly recent: number[];
  private readonly factor: number;

  constructor({ factor, recent = [] }: LossHistoryOptions) {
    this.factor = factor;
    this.recent = [...recent];
  }

  get median(): number {
    return medianOf(this.recent);
  }

  isSpike(loss: number): boolean {
    const { recent, median, factor } = this;
    if (recent.length < spikeWindow.least) return false;
    const spread = 1.4826 * medianOf(recent.map((each) => Math.abs(each - median)));
    return loss > factor * Math.abs(median) && loss > median + 6 * spread;
  }

  add(loss: number): void {
    this.recent.push(loss);
    if (this.recent.length > spikeWindow.most) this.recent.shift();
  }
}

function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low = NaN, high = NaN] = sorted.slice(sorted.length % 2 === 0 ? middle - 1 : middle, middle + 1);
  return sorted.length % 2 === 0 ? (low + high) / 2 : low;
}

/** A spike that ends the training. */
export function spikeError({
  step,
  loss,
  median,
  rollbacks,
}: {
  readonly step: number;
  readonly loss: number;
  readonly median: number;
  readonly rollbacks: number;
}): LowrankError {
  const before = rollbacks === 0 ? '' : ` after ${rollbacks} rollbacks`;
  return new LowrankError({
    code: 'trainer.spike',
    what: `step ${step}`,
    expected: `a loss near ${median.toPrecision(4)}, the median of those before`,
    got: `${loss}${before}`,
    remedy: 'Lower the learning rate, clip the gradient, or look at the rows of this step.',
  });
}
