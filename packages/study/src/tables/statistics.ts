/** Values of one thing over several seeds. */
export interface Spread {
  readonly mean: number;
  /** Standard deviation of a sample (n − 1); null for one value. */
  readonly deviation: number | null;
  readonly values: readonly number[];
}

export function spreadOf(values: readonly number[]): Spread {
  const count = values.length;
  const mean = values.reduce((total, value) => total + value, 0) / count;
  const squares = values.reduce((total, value) => total + (value - mean) ** 2, 0);
  return { mean, deviation: count > 1 ? Math.sqrt(squares / (count - 1)) : null, values };
}

export interface Difference {
  readonly mean: number;
  /** Bounds of the 95% confidence interval of the difference. */
  readonly low: number;
  readonly high: number;
}

/**
 * a − b with its 95% interval after Welch: s² = s_a²/n_a + s_b²/n_b, with t of (s_a²/n_a + s_b²/n_b)² / Σ
 * (s_i²/n_i)²/(n_i − 1) degrees of freedom. Undefined where one of the two has a single value.
 */
export function differenceOf(a: Spread, b: Spread): Difference | undefined {
  if (a.deviation === null || b.deviation === null) return undefined;
  const parts = [a, b].map(({ deviation, values }) => ({
    variance: (deviation ?? 0) ** 2 / values.length,
    freedom: values.length - 1,
  }));
  const variance = parts.reduce((total, part) => total + part.variance, 0);
  const mean = a.mean - b.mean;
  if (variance === 0) return { mean, low: mean, high: mean };
  const freedom = variance ** 2 / parts.reduce((total, part) => total + part.variance ** 2 / part.freedom, 0);
  const reach = studentQuantile(freedom) * Math.sqrt(variance);
  return { mean, low: mean - reach, high: mean + reach };
}

/** t with P(|T| < t) = 0.95, by bisection of the distribution function. */
export function studentQuantile(freedom: number): number {
  let [low, high] = [1.9, 1000];
  for (let turn = 0; turn < 60; turn++) {
    const middle = (low + high) / 2;
    if (studentTails(middle, freedom) > 0.05) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** P(|T| > t) = I_x(ν/2, ½) with x = ν/(ν + t²). */
function studentTails(t: number, freedom: number): number {
  return incompleteBeta(freedom / (freedom + t * t), freedom / 2, 0.5);
}

/**
 * The regularized incomplete beta function I_x(a, b) by its continued fraction (Lentz's method; Press et al.,
 * "Numerical Recipes", 6.4).
 */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
  const tiny = 1e-300;
  const keep = (value: number): number => (Math.abs(value) < tiny ? tiny : value);
  let c = 1;
  let d = 1 / keep(1 - ((a + b) * x) / (a + 1));
  let fraction = d;
  for (let m = 1; m <= 500; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / keep(1 + even * d);
    c = keep(1 + even / c);
    fraction *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / keep(1 + odd * d);
    c = keep(1 + odd / c);
    fraction *= d * c;
    if (Math.abs(d * c - 1) < 1e-14) break;
  }
  return (Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(1 - x)) / a) * fraction;
}

/** Lanczos' approximation, good to 1e-10. */
function logGamma(x: number): number {
  const coefficients = [
    76.18009172947146, -86.5053203294168, 24.01409824083091, -1.231739572450155, 0.001208650973866179,
    -5.395239384953e-6,
  ];
  const base = x + 5.5;
  const series = coefficients.reduce((total, coefficient, at) => total + coefficient / (x + at + 1), 1.000000000190015);
  return (x + 0.5) * Math.log(base) - base + Math.log((2.506628274631 * series) / x);
}
