import type { LabeledPrompts, MetricName, TextTokenizer } from '@lowrank/data';
import { encodeRow } from '@lowrank/data';
import { LowrankError } from '@lowrank/errors';
import type { Backend } from '@lowrank/tensor';
import type { Execution } from '@lowrank/trainer';
import { logLikelihoods } from '../front/logLikelihoods.js';
import type { OpenModel } from './openModel.js';

export interface ScoreLabelsOptions {
  readonly backend: Backend;
  readonly tokenizer: TextTokenizer;
  readonly execution?: Execution | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** @throws LowrankError `cli.conflict` for answers that no metric asks for */
export function checkLabels({
  labels,
  metrics = [],
}: {
  readonly labels?: readonly string[] | undefined;
  readonly metrics?: readonly MetricName[] | undefined;
}): void {
  if (labels === undefined || metrics.includes('label-accuracy')) return;
  throw new LowrankError({
    code: 'cli.conflict',
    what: (names) => names('labels', labels.join(',')),
    expected: (names) => `${names('metric', 'label-accuracy')} with it`,
    got: metrics.length === 0 ? 'no metric' : metrics.join(','),
    setting: 'labels',
  });
}

export interface LabelScores {
  /** Share of the prompts whose likeliest answer is one that their rows have. */
  readonly accuracy: number;
  /** By prompt the likeliest answer; undefined where an answer does not fit behind the prompt. */
  readonly answers: readonly (string | undefined)[];
  /** By prompt, log p(answer | prompt) in the order of the labels. */
  readonly logLikelihoods: readonly (readonly number[])[];
  /** Prompts that leave the model no room for an answer: they count 0. */
  readonly tooLong: number;
}

/**
 * Which of a few answers a model finds likeliest after each prompt, as GPT-3 was asked (Brown et al. 2020, §2.4): the
 * one whose tokens have the greatest Σ log p, EOS included as in the rows that are trained. Sums are not divided by
 * lengths. Undefined when the signal is aborted.
 */
export async function scoreLabels(
  open: OpenModel,
  { labels, prompts }: LabeledPrompts,
  { tokenizer, ...options }: ScoreLabelsOptions,
): Promise<LabelScores | undefined> {
  const documents = prompts.map(({ prompt }, at) =>
    labels.map((completion) => encodeRow({ line: at + 1, prompt, completion }, tokenizer)),
  );
  const fits = documents.map((row) => row.every(({ ids }) => ids.length <= open.contextLength));
  const scores = await logLikelihoods(open, documents.filter((_, at) => fits[at] === true).flat(), {
    ...options,
    virtualTokens: open.module.virtualTokens,
  });
  if (options.signal?.aborted === true) return undefined;
  const byPrompt = documents.map((row) => row.map((document) => scores.get(document) ?? NaN));
  const answers = byPrompt.map((row, at) => (fits[at] === true ? labels[row.indexOf(Math.max(...row))] : undefined));
  const right = answers.filter(
    (answer, at) => answer !== undefined && prompts[at]?.right.has(answer.trim()) === true,
  ).length;
  return {
    accuracy: right / prompts.length,
    answers,
    logLikelihoods: byPrompt,
    tooLong: fits.filter((each) => !each).length,
  };
}
