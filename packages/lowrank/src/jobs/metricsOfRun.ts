import type { MetricName } from '@lowrank/data';
import { LowrankError } from '@lowrank/errors';
import type { Backend } from '@lowrank/tensor';
import type { Measures } from '@lowrank/trainer';

/** Scores of a model as it is, by the names of measures (`rouge_l`). Undefined where the signal cut it short. */
export type MeasureRun = (
  session: { readonly backend: Backend },
  signal?: AbortSignal,
) => Promise<Measures | undefined>;

/** What a metric is called among the measures of an evaluation. */
export function measureName(metric: MetricName): string {
  return metric.replaceAll('-', '_');
}

/** @throws LowrankError `cli.conflict` for metrics that are none of those of what a model learns */
export function checkMetrics(
  metrics: readonly MetricName[],
  { known, of }: { readonly known: readonly string[]; readonly of: string },
): void {
  const other = metrics.filter((name) => !known.includes(name));
  if (other.length === 0) return;
  throw new LowrankError({
    code: 'cli.conflict',
    what: (names) => `${names('evaluationMetrics', other.join(','))} of ${of}`,
    expected: `some of ${known.join(', ')}`,
    got: other.join(', '),
    setting: 'evaluationMetrics',
  });
}
