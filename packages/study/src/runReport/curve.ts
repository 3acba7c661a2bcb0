/** A value of one step. */
export interface CurvePoint {
  readonly step: number;
  readonly value: number;
}

/** What is kept of neighbouring values. */
interface Bucket {
  readonly first: number;
  readonly last: number;
  /** Undefined where no value is finite, as `max` is. */
  readonly min: CurvePoint | undefined;
  readonly max: CurvePoint | undefined;
  /** Of the finite values. */
  readonly sum: number;
  readonly count: number;
  /** Values in all. */
  readonly values: number;
}

/** More buckets than pixels of a small chart show nothing more. */
const mostBuckets = 400;

/**
 * A curve over any number of steps in bounded memory. Neighbouring values share buckets, twice as many as before
 * whenever there are too many buckets; each bucket keeps its smallest and its largest value, so that no spike is lost.
 */
export class Curve {
  private buckets: Bucket[] = [];
  private perBucket = 1;
  private lastPoint: CurvePoint | undefined;
  /** Values that are not finite. */
  missing = 0;

  add(step: number, value: number | null): void {
    const point = value !== null && Number.isFinite(value) ? { step, value } : undefined;
    if (point === undefined) this.missing++;
    this.lastPoint = point ?? this.lastPoint;
    const added = bucketOf(step, point);
    const before = this.buckets.at(-1);
    if (before !== undefined && before.values < this.perBucket)
      this.buckets[this.buckets.length - 1] = joined(before, added);
    else this.buckets.push(added);
    if (this.buckets.length > mostBuckets) this.halve();
  }

  get isEmpty(): boolean {
    return this.lastPoint === undefined;
  }

  /** The last finite value. */
  get last(): CurvePoint | undefined {
    return this.lastPoint;
  }

  /** Σ of the finite values. */
  get sum(): number {
    return this.buckets.reduce((total, { sum }) => total + sum, 0);
  }

  /** Runs of points in the order of their steps: the smallest and the largest value of each bucket, and the last. */
  segments(): CurvePoint[][] {
    return this.runs().map((run) => {
      const points = run.flatMap(({ min, max }) => inOrder(min, max));
      const { lastPoint } = this;
      const isOpen = run.at(-1) === this.buckets.at(-1);
      return isOpen && lastPoint !== undefined && points.at(-1) !== lastPoint ? [...points, lastPoint] : points;
    });
  }

  /**
   * The middle of the values around each bucket, about `steps` steps together: their mean, or the median of the
   * buckets' means, which a single spike does not move. Fewer at both ends and at gaps.
   */
  smoothed(steps: number, middle: 'mean' | 'median' = 'mean'): CurvePoint[][] {
    const reach = Math.floor(steps / this.perBucket / 2);
    return this.runs().map((run) =>
      run.map(({ first, last }, at) => {
        const around = run.slice(Math.max(0, at - reach), at + reach + 1);
        return { step: (first + last) / 2, value: middle === 'mean' ? meanOf(around) : medianOf(around) };
      }),
    );
  }

  /** Buckets with finite values, cut where one has none. */
  private runs(): Bucket[][] {
    const runs: Bucket[][] = [];
    let isOpen = false;
    for (const bucket of this.buckets) {
      if (bucket.min !== undefined && isOpen) runs.at(-1)?.push(bucket);
      else if (bucket.min !== undefined) runs.push([bucket]);
      isOpen = bucket.min !== undefined;
    }
    return runs;
  }

  private halve(): void {
    const pairs: Bucket[] = [];
    for (const bucket of this.buckets) {
      const before = pairs.at(-1);
      if (before !== undefined && before.values <= this.perBucket) pairs[pairs.length - 1] = joined(before, bucket);
      else pairs.push(bucket);
    }
    this.buckets = pairs;
    this.perBucket *= 2;
  }
}

function bucketOf(step: number, point: CurvePoint | undefined): Bucket {
  const [sum, count] = point === undefined ? [0, 0] : [point.value, 1];
  return { first: step, last: step, min: point, max: point, sum, count, values: 1 };
}

function joined(a: Bucket, b: Bucket): Bucket {
  return {
    first: a.first,
    last: b.last,
    min: b.min === undefined || (a.min !== undefined && a.min.value <= b.min.value) ? a.min : b.min,
    max: b.max === undefined || (a.max !== undefined && a.max.value >= b.max.value) ? a.max : b.max,
    sum: a.sum + b.sum,
    count: a.count + b.count,
    values: a.values + b.values,
  };
}

function inOrder(min: CurvePoint | undefined, max: CurvePoint | undefined): CurvePoint[] {
  if (min === undefined || max === undefined) return [];
  if (min === max) return [min];
  return min.step < max.step ? [min, max] : [max, min];
}

function meanOf(buckets: readonly Bucket[]): number {
  const [sum, count] = buckets.reduce(([total, all], each) => [total + each.sum, all + each.count], [0, 0]);
  return sum / count;
}

function medianOf(buckets: readonly Bucket[]): number {
  const means = buckets.map(({ sum, count }) => sum / count).toSorted((a, b) => a - b);
  return means[Math.floor((means.length - 1) / 2)] ?? 0;
}
