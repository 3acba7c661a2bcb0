import type { PromptGroup, TextMetric, TextMetricName, TextTokenizer } from '@lowrank/data';
import { scoredPrompts, textMetrics } from '@lowrank/data';
import type { Backend } from '@lowrank/tensor';
import { continuePrompts } from './continuations.js';
import type { OpenModel } from './openModel.js';

export interface ScoreTextsOptions {
  readonly backend: Backend;
  readonly tokenizer: TextTokenizer;
  readonly metrics: readonly TextMetricName[];
  /** Default: as many as the longest reference has, and one. */
  readonly maxNewTokens?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (done: number, of: number) => void;
}

export interface TextScores {
  /** Means over the prompts; BLEU and chrF of all together. */
  readonly scores: Readonly<Partial<Record<TextMetricName, number>>>;
  readonly texts: readonly WrittenText[];
  /** Prompts that leave the model no room for an answer: they count 0. */
  readonly tooLong: number;
}

export interface WrittenText {
  readonly prompt: string;
  readonly text: string;
  readonly references: readonly string[];
}

/**
 * What a model writes, greedily, once for each distinct prompt, and its score against all the completions that the
 * prompt has. A text ends at EOS, and at a line break where no reference has one. Undefined when the signal is aborted.
 *
 * @throws LowrankError `metrics.prompts` for rows that are no prompt and completion, and what the metrics throw
 */
export async function scoreTexts(
  model: OpenModel,
  groups: readonly PromptGroup[],
  options: ScoreTextsOptions,
): Promise<TextScores | undefined> {
  const { metrics, tokenizer, backend, signal, onProgress } = options;
  const asked = scoredPrompts(groups, metrics);
  const lengths = asked.flatMap(({ references }) =>
    references.map((text) => tokenizer.encode(text, { addSpecialTokens: false }).length),
  );
  const longest = lengths.reduce((most, length) => Math.max(most, length), 1);
  const maxNewTokens = options.maxNewTokens ?? Math.min(longest + 1, model.contextLength);
  const stop = asked.some(({ references }) => references.some((text) => text.includes('\n'))) ? [] : ['\n'];
  const prompts = asked.map(({ prompt }) => prompt);
  const written = await continuePrompts(model, prompts, { backend, tokenizer, maxNewTokens, stop, signal, onProgress });
  if (signal?.aborted === true) return undefined;
  const texts = asked.map(({ prompt, references }, at) => ({ prompt, references, text: written[at] ?? '' }));
  const scoreOf = (name: TextMetricName): number => {
    const metric: TextMetric = textMetrics[name];
    if (metric.corpus !== undefined) return metric.corpus(texts);
    const scores = texts.map(({ text, references }, at) =>
      written[at] === undefined ? 0 : metric.score(text, references),
    );
    return scores.reduce((total, score) => total + score, 0) / texts.length;
  };
  return {
    scores: Object.fromEntries(metrics.map((name) => [name, scoreOf(name)])),
    texts,
    tooLong: written.filter((text) => text === undefined).length,
  };
}
