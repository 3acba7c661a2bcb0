import { LowrankError } from '@lowrank/errors';
import type { PromptGroup } from '../promptGroups.js';
import type { MetricName } from './metric.js';
import { isTextMetric, textMetrics } from './metric.js';

/** A prompt that a model answers, and all the completions that the rows have for it. */
export interface ScoredPrompt {
  readonly prompt: string;
  readonly references: readonly string[];
}

/**
 * Prompts with their references, every one of which the metrics can judge by.
 *
 * @throws LowrankError `metrics.prompts` for rows that are no prompt and completion, and what the metrics throw
 */
export function scoredPrompts(groups: readonly PromptGroup[], metrics: readonly MetricName[]): readonly ScoredPrompt[] {
  return groups.map((group) => {
    const prompt = promptOf(group, metrics);
    const references = group.map((row) => ('completion' in row ? row.completion : ''));
    for (const name of metrics.filter(isTextMetric)) textMetrics[name].score('', references);
    return { prompt, references };
  });
}

function promptOf([row]: PromptGroup, metrics: readonly MetricName[]): string {
  if ('completion' in row) return row.prompt;
  throw new LowrankError({
    code: 'metrics.prompts',
    what: `line ${row.line}, for the metric ${metrics.join(', ')}`,
    expected: 'a prompt and its completion',
    got: 'text' in row ? 'a text' : 'chosen' in row ? 'two answers' : 'messages',
    remedy:
      'text' in row
        ? 'Say what its completion comes after: --completion-after "A: ".'
        : 'Other rows support only the loss.',
  });
}
