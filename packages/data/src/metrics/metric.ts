import { exactMatch } from './exactMatch.js';
import { logicalForm } from './logicalForm.js';
import { rougeL } from './rougeL.js';
import type { TextMetric } from './textMetric.js';

/**
 * Metrics over texts that the model writes, by what the command line calls them. A new one is a file and a line here.
 */
export const textMetrics = {
  'rouge-l': rougeL,
  'exact-match': exactMatch,
  'logical-form': logicalForm,
} as const satisfies Readonly<Record<string, TextMetric>>;

export type TextMetricName = keyof typeof textMetrics;
/** `loss` is over label tokens, and the only one of which less is better. */
export type MetricName = 'loss' | TextMetricName;

export const metricNames: readonly MetricName[] = ['loss', 'rouge-l', 'exact-match', 'logical-form'];

export function isTextMetric(name: MetricName): name is TextMetricName {
  return name !== 'loss';
}

/** Positive where `a` is better than `b`. */
export function compareScores(metric: MetricName, a: number, b: number): number {
  return metric === 'loss' ? b - a : a - b;
}
