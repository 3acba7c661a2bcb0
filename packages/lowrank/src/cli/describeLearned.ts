import type { RunSample } from '@lowrank/study';
import type { FineTuneResult } from '../jobs/fineTune.js';

/** Of a text on a terminal. */
const mostCharacters = 400;

/**
 * What a run learned, for people: the loss on the held-out rows before and after, and samples side by side. Empty where
 * there is nothing to say.
 */
export function describeLearned(
  { eval_loss: after, eval_loss_before: before }: Pick<FineTuneResult, 'eval_loss' | 'eval_loss_before'>,
  { samples, isText }: { readonly samples: readonly RunSample[]; readonly isText: boolean },
): string {
  return [...losses(before, after, isText), ...samples.flatMap(sampleLines)].join('\n');
}

/** Perplexity is of texts: a preference loss has none. */
function losses(before: number | null, after: number | null, isText: boolean): string[] {
  if (before === null || after === null) return [];
  const perplexities = isText ? ` (perplexity ${perplexity(before)} → ${perplexity(after)})` : '';
  return [`on held-out rows: loss ${before.toFixed(4)} before, ${after.toFixed(4)} after${perplexities}`];
}

function perplexity(loss: number): string {
  const value = Math.exp(loss);
  return value < 1e4 ? value.toFixed(2) : value.toExponential(2);
}

function sampleLines({ prompt, before, after, wanted }: RunSample): string[] {
  const parts = { prompt, base: before, tuned: after, wanted };
  const lines = Object.entries(parts).flatMap(([name, text]) =>
    text === null ? [] : [`  ${name.padEnd(6)}  ${shown(text, name === 'prompt')}`],
  );
  return ['', ...lines];
}

/** On as many lines as it has, below one another; of a long prompt the end, of a long answer the beginning. */
function shown(text: string, fromEnd: boolean): string {
  const trimmed = text.trim();
  if (trimmed === '') return '(nothing)';
  const isLong = trimmed.length > mostCharacters;
  const part = fromEnd ? `…${trimmed.slice(-mostCharacters)}` : `${trimmed.slice(0, mostCharacters)}…`;
  return (isLong ? part : trimmed).replaceAll('\n', `\n${' '.repeat(10)}`);
}
