import { bleu } from './bleu.js';
import { chrf } from './chrf.js';
import { exactMatch } from './exactMatch.js';
import { logicalForm } from './logicalForm.js';
import { rougeL } from './rougeL.js';
import { rougeLsum } from './rougeLsum.js';
import { rougeN } from './rougeN.js';
import type { TextMetric } from './textMetric.js';

/**
 * Metrics over texts that the model writes, by what the command line calls them. A new one is a file and a line here.
 */
export const textMetrics = {
  'rouge-l': rougeL,
  'rouge-1': rougeN(1),
  'rouge-2': rougeN(2),
  'rouge-lsum': rougeLsum,
  bleu,
  chrf,
  'exact-match': exactMatch,
  'logical-form': logicalForm,
} as const satisfies Readonly<Record<string, TextMetric>>;

/** A metric that compares written texts with references: `exact-match`, `rouge-l` and the like. */
export type TextMetricName = keyof typeof textMetrics;
/**
 * `loss` is over label tokens, and the only one of which less is better; `label-accuracy` is over the likelihoods of
 * given answers: for both nothing is written.
 */
export type MetricName = 'loss' | TextMetricName | 'label-accuracy' | TaskMetricName;

/** Metrics of tasks other than writing text; `exact-match` is one of theirs too. */
export const taskMetricNames = [
  'accuracy',
  'f1',
  'f1-macro',
  'f1-micro',
  'precision',
  'recall',
  'matthews',
  'pearson',
  'recall-at-1',
  'recall-at-10',
] as const;
export type TaskMetricName = (typeof taskMetricNames)[number];

/** Every metric of texts, in the order in which help and tables list them. */
export const metricNames: readonly MetricName[] = [
  'loss',
  ...(Object.keys(textMetrics) as TextMetricName[]),
  'label-accuracy',
];

/** Whether a metric needs texts that the model writes. */
export function isTextMetric(name: MetricName): name is TextMetricName {
  return Object.hasOwn(textMetrics, name);
}

/** Positive where `a` is better than `b`. */
export function compareScores(metric: MetricName, a: number, b: number): number {
  return metric === 'loss' ? b - a : a - b;
}
