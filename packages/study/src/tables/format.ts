import type { MetricName } from '@lowrank/data';
import type { Spread } from './statistics.js';

/** Numbers of a table, for people. */
export const format = {
  count: (value: number): string => value.toLocaleString('en'),
  /** 0.0123 → 1.23% */
  share: (value: number): string =>
    `${(value * 100).toPrecision(3).replace(/\.?0+$/, (zeros) => (zeros.startsWith('.') ? '' : zeros))}%`,
  time: (seconds: number): string =>
    seconds < 0.1
      ? `${(seconds * 1000).toFixed(1)} ms`
      : seconds < 1
        ? `${(seconds * 1000).toFixed(0)} ms`
        : `${seconds.toFixed(2)} s`,
  bytes: (value: number): string => {
    const [size, unit] = value >= 1e9 ? [1e9, 'GB'] : value >= 1e6 ? [1e6, 'MB'] : [1e3, 'kB'];
    const scaled = value / size;
    return `${scaled.toFixed(scaled < 10 ? 2 : scaled < 100 ? 1 : 0)} ${unit}`;
  },
  /** 0.0003, 1e-5 */
  rate: (value: number): string => String(value),
  score: (metric: MetricName, value: number): string =>
    metric === 'loss' ? value.toFixed(4) : (value * 100).toFixed(1),
  spread: (metric: MetricName, { mean, deviation }: Spread): string =>
    `${format.score(metric, mean)}${deviation === null ? '' : ` ± ${format.score(metric, deviation)}`}`,
};

/** What a metric is called above its column. */
export const metricTitles: Readonly<Record<MetricName, string>> = {
  loss: 'loss',
  'rouge-l': 'ROUGE-L',
  'exact-match': 'exact match %',
  'logical-form': 'logical form %',
};
