import { pythonSpace } from '../jinja/pythonText.js';
import { countRuns, splitWords } from './runs.js';
import type { ScoredText, TextMetric } from './textMetric.js';

const spaceAtEnd = new RegExp(`[${pythonSpace}]+$`, 'u');
const orders = [1, 2, 3, 4] as const;

/**
 * Corpus BLEU of up to four words (Papineni et al. 2002), as sacrebleu's `BLEU()`: tokenizer 13a, mixed case,
 * exponential smoothing, the length of the closest reference. From 0 to 1, where sacrebleu counts to 100. It is a
 * score of all texts together, not a mean.
 */
export const bleu: TextMetric = {
  score: (text, references) => corpus([{ text, references }]),
  corpus,
};

function corpus(texts: readonly ScoredText[]): number {
  const [matched, total] = [orders.map(() => 0), orders.map(() => 0)];
  let [length, referenceLength] = [0, 0];
  for (const { text, references } of texts) {
    const words = tokens13a(text);
    const theirs = references.map(tokens13a);
    length += words.length;
    referenceLength += closestLength(
      words.length,
      theirs.map((each) => each.length),
    );
    for (const [at, order] of orders.entries()) {
      const most = mostOf(theirs.map((each) => countRuns(each, order)));
      for (const [run, count] of countRuns(words, order)) {
        total[at] = (total[at] ?? 0) + count;
        matched[at] = (matched[at] ?? 0) + Math.min(count, most.get(run) ?? 0);
      }
    }
  }
  if (matched.every((count) => count === 0)) return 0;
  const brevity = length < referenceLength ? Math.exp(1 - referenceLength / length) : 1;
  const logs = logPrecisions(matched, total);
  return brevity * Math.exp(logs.reduce((sum, log) => sum + log, 0) / orders.length);
}

/** An order without a match counts half, a quarter, … of one; an order without runs makes the score 0. */
function logPrecisions(matched: readonly number[], total: readonly number[]): number[] {
  let smoothing = 1;
  return matched.map((count, at) => {
    const of = total[at] ?? 0;
    if (of === 0) return -Infinity;
    if (count > 0) return Math.log(count / of);
    smoothing *= 2;
    return Math.log(1 / (smoothing * of));
  });
}

/** Each run as often as the reference has it that has it most. */
function mostOf(counts: readonly ReadonlyMap<string, number>[]): Map<string, number> {
  const most = new Map<string, number>();
  for (const each of counts) for (const [run, count] of each) most.set(run, Math.max(most.get(run) ?? 0, count));
  return most;
}

/** Of two that are equally near, the shorter one. */
function closestLength(length: number, references: readonly number[]): number {
  const [closest = 0] = references.toSorted((a, b) => Math.abs(a - length) - Math.abs(b - length) || a - b);
  return closest;
}

/** sacrebleu's tokenizer `13a`, that of mteval-v13a. */
function tokens13a(text: string): string[] {
  const plain = text
    .replace(spaceAtEnd, '')
    .replaceAll('<skipped>', '')
    .replaceAll('-\n', '')
    .replaceAll('\n', ' ')
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>');
  return splitWords(
    ` ${plain} `
      .replace(/[{-~[-` -&(-+:-@/]/gu, ' $& ')
      .replace(/([^0-9])([.,])/gu, '$1 $2 ')
      .replace(/([.,])([^0-9])/gu, ' $1 $2')
      .replace(/([0-9])(-)/gu, '$1 $2 '),
  );
}
