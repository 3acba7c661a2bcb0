import type { PromptGroup, TextTokenizer } from '@lowrank/data';
import { LowrankError } from '@lowrank/errors';
import type { Backend } from '@lowrank/tensor';
import type { TextMetricName } from '../metrics/metric.js';
import { textMetrics } from '../metrics/metric.js';
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
  /** Means over the prompts. */
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
 * What a model writes, greedily, once for each distinct prompt, and how good it is beside all the completions that the
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
  const asked = askedTexts(groups, metrics);
  const lengths = asked.flatMap(({ references }) =>
    references.map((text) => tokenizer.encode(text, { addSpecialTokens: false }).length),
  );
  const maxNewTokens = options.maxNewTokens ?? Math.min(Math.max(1, ...lengths) + 1, model.contextLength);
  const stop = asked.some(({ references }) => references.some((text) => text.includes('\n'))) ? [] : ['\n'];
  const prompts = asked.map(({ prompt }) => prompt);
  const written = await continuePrompts(model, prompts, { backend, tokenizer, maxNewTokens, stop, signal, onProgress });
  if (signal?.aborted === true) return undefined;
  const texts = asked.map(({ prompt, references }, at) => ({ prompt, references, text: written[at] ?? '' }));
  const mean = (name: TextMetricName): number =>
    texts.reduce(
      (total, { text, references }, at) =>
        total + (written[at] === undefined ? 0 : textMetrics[name].score(text, references)),
      0,
    ) / texts.length;
  return {
    scores: Object.fromEntries(metrics.map((name) => [name, mean(name)])),
    texts,
    tooLong: written.filter((text) => text === undefined).length,
  };
}

/**
 * Prompts with their references, every one of which the metrics can judge by.
 *
 * @throws LowrankError as scoreTexts
 */
export function askedTexts(
  groups: readonly PromptGroup[],
  metrics: readonly TextMetricName[],
): { prompt: string; references: string[] }[] {
  return groups.map((group) => {
    const prompt = promptOf(group, metrics);
    const references = group.map((row) => ('completion' in row ? row.completion : ''));
    for (const name of metrics) textMetrics[name].score('', references);
    return { prompt, references };
  });
}

function promptOf([row]: PromptGroup, metrics: readonly TextMetricName[]): string {
  if ('prompt' in row) return row.prompt;
  throw new LowrankError({
    code: 'metrics.prompts',
    what: `line ${row.line}, for the metric ${metrics.join(', ')}`,
    expected: 'a prompt and its completion',
    got: 'text' in row ? 'a text' : 'messages',
    remedy:
      'text' in row
        ? 'Say what its completion comes after: --completion-after "A: ".'
        : 'Of rows of messages only the loss can be told.',
  });
}
