import type { MetricName } from '@lowrank/data';

/** What a share is of: performances in one metric. */
export interface Anchors {
  readonly metric: MetricName;
  /** Of the model before any training: a loss has no zero of its own. */
  readonly base: number;
  /** Of full fine-tuning. */
  readonly full: number;
}

export interface MeasuredDimension {
  readonly dimension: number;
  readonly score: number;
}

export interface D90 {
  /** The smallest dimension of those that were tried that reaches 90%; null where none does. */
  readonly d90: number | null;
  /**
   * Where a straight line over log d between that one and the next smaller crosses 90%; null where there is no smaller
   * one, or none reaches it.
   */
  readonly interpolated: number | null;
  /** The largest dimension that was tried and does not reach 90%: what d90 is above, where none reaches it. */
  readonly above: number | null;
  /** Larger dimensions that fall below 90% again: chance, or a learning rate that does not suit. */
  readonly fallen: readonly number[];
}

/**
 * How much of full fine-tuning's performance this is. A score (more is better) as Li et al. (2018) and Aghajanyan et
 * al. (2020) have it: score / full. A loss has no zero of its own, so that its share is of the improvement: (base −
 * loss) / (base − full). Undefined where full fine-tuning has nothing to take a share of.
 */
export function shareOf(score: number, { metric, base, full }: Anchors): number | undefined {
  const [part, whole] = metric === 'loss' ? [base - score, base - full] : [score, full];
  return whole > 0 ? part / whole : undefined;
}

/** d90: the smallest dimension with 90% of full fine-tuning's performance. `share` is another part than 0.9. */
export function findD90(measured: readonly MeasuredDimension[], anchors: Anchors, share = 0.9): D90 {
  const points = measured
    .flatMap(({ dimension, score }) => {
      const own = shareOf(score, anchors);
      return own === undefined || Number.isNaN(own) ? [] : [{ dimension, share: own }];
    })
    .sort((a, b) => a.dimension - b.dimension);
  // What was computed with rounding on the line is on the line.
  const at = points.findIndex((point) => point.share >= share - 1e-12);
  const [found, before] = [points[at], points[at - 1]];
  if (found === undefined)
    return { d90: null, interpolated: null, above: points.at(-1)?.dimension ?? null, fallen: [] };
  const fallen = points
    .slice(at)
    .filter((point) => point.share < share - 1e-12)
    .map(({ dimension }) => dimension);
  if (before === undefined) return { d90: found.dimension, interpolated: null, above: null, fallen };
  const along = (share - before.share) / (found.share - before.share);
  return {
    d90: found.dimension,
    interpolated: before.dimension * (found.dimension / before.dimension) ** along,
    above: before.dimension,
    fallen,
  };
}
