import type { MetricName } from '@lowrank/data';
import type { Spread } from './statistics.js';

const byteUnits = [
  { size: 1e9, unit: 'GB' },
  { size: 1e6, unit: 'MB' },
];

/** Numbers of a table, for people. */
export const format = {
  count: (value: number): string => value.toLocaleString('en'),
  /** 0.0123 → 1.23% */
  share: (value: number): string =>
    `${(value * 100).toPrecision(3).replace(/\.?0+$/, (zeros) => (zeros.startsWith('.') ? '' : zeros))}%`,
  time: (seconds: number): string => {
    if (seconds >= 1) return `${seconds.toFixed(2)} s`;
    return `${(seconds * 1000).toFixed(seconds < 0.1 ? 1 : 0)} ms`;
  },
  bytes: (value: number): string => {
    const { size, unit } = byteUnits.find((each) => value >= each.size) ?? { size: 1e3, unit: 'kB' };
    const scaled = value / size;
    // Three digits.
    const decimals = [100, 10].filter((bound) => scaled < bound).length;
    return `${scaled.toFixed(decimals)} ${unit}`;
  },
  /** 0.0003, 1e-5 */
  rate: (value: number): string => String(value),
  score: (metric: MetricName, value: number): string =>
    metric === 'loss' ? value.toFixed(4) : (value * 100).toFixed(1),
  spread(metric: MetricName, { mean, deviation }: Spread): string {
    const around = deviation === null ? '' : ` ± ${format.score(metric, deviation)}`;
    return format.score(metric, mean) + around;
  },
};

/** What a metric is called above its column. */
export const metricTitles: Readonly<Record<MetricName, string>> = {
  loss: 'loss',
  'rouge-l': 'ROUGE-L',
  'rouge-1': 'ROUGE-1',
  'rouge-2': 'ROUGE-2',
  'rouge-lsum': 'ROUGE-Lsum',
  bleu: 'BLEU',
  chrf: 'chrF',
  'exact-match': 'exact match %',
  'logical-form': 'logical form %',
  'label-accuracy': 'label accuracy %',
  accuracy: 'accuracy %',
  f1: 'F1 %',
  'f1-macro': 'F1 (macro) %',
  'f1-micro': 'F1 (micro) %',
  precision: 'precision %',
  recall: 'recall %',
  matthews: 'Matthews ×100',
  pearson: 'Pearson ×100',
  'recall-at-1': 'recall at 1 %',
  'recall-at-10': 'recall at 10 %',
};
