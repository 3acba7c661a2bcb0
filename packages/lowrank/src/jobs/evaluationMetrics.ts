import type { MetricName, TextTokenizer } from '@lowrank/data';
import {
  groupByPrompt,
  isTextMetric,
  labeledPrompts,
  metricNames,
  readTextRows,
  samplePrompts,
  scoredPrompts,
  selectionOf,
} from '@lowrank/data';
import { LowrankError } from '@lowrank/errors';
import type { Execution } from '@lowrank/trainer';
import type { EvaluationSource } from '../front/readRows.js';
import type { MeasureRun } from './metricsOfRun.js';
import { checkMetrics, measureName } from './metricsOfRun.js';
import type { OpenModel } from './openModel.js';
import { scoreLabels } from './scoreLabels.js';
import { scoreTexts } from './scoreTexts.js';

export interface EvaluationMetricsOptions {
  readonly open: OpenModel;
  readonly metrics: readonly MetricName[];
  /** Most distinct prompts that are answered, drawn by the seed. */
  readonly prompts: number;
  readonly seed: number;
  readonly tokenizer: TextTokenizer;
  readonly execution?: Execution | undefined;
}

/**
 * Reads the prompts of an evaluation, and returns what scores the model on them: what it writes, greedily, once for
 * each prompt, or which of all completions it finds likeliest. No random number is drawn but for the choice of the
 * prompts.
 *
 * @throws LowrankError `metrics.prompts` for rows that are no prompt and completion, `cli.conflict` for rows of
 * standard input and metrics of other tasks, and what the metrics throw
 */
export async function evaluationMetrics(
  { source, options }: EvaluationSource,
  { open, metrics, prompts: count, seed, tokenizer, execution }: EvaluationMetricsOptions,
): Promise<MeasureRun> {
  checkMetrics(metrics, { known: metricNames, of: 'texts that are written' });
  if (source === '-') throw readOnce();
  const all = groupByPrompt(await readTextRows(source, { ...selectionOf(options), cut: options.cut }));
  const groups = samplePrompts(all, { count, seed });
  const written = metrics.filter(isTextMetric);
  // Before the first step.
  if (written.length > 0) scoredPrompts(groups, written);
  const labels = metrics.includes('label-accuracy') ? labeledPrompts(all, undefined).labels : undefined;
  return async ({ backend }, signal) => {
    const measures: Record<string, number> = {};
    if (written.length > 0) {
      const scored = await scoreTexts(open, groups, { backend, tokenizer, metrics: written, signal });
      if (scored === undefined) return undefined;
      for (const metric of written) measures[measureName(metric)] = scored.scores[metric] ?? NaN;
    }
    if (labels === undefined) return measures;
    const chosen = await scoreLabels(
      open,
      { labels, prompts: labeledPrompts(groups, labels).prompts },
      { backend, tokenizer, execution, signal },
    );
    return chosen && { ...measures, [measureName('label-accuracy')]: chosen.accuracy };
  };
}

function readOnce(): LowrankError {
  return new LowrankError({
    code: 'cli.conflict',
    what: (names) => `${names('evaluationMetrics')} with rows from standard input`,
    expected: 'rows to evaluate in a file',
    got: 'rows that can be read once',
    setting: 'evaluationMetrics',
  });
}
