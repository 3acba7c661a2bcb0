import { countRuns, splitWords } from './runs.js';
import type { ScoredText, TextMetric } from './textMetric.js';

const orders = [1, 2, 3, 4, 5, 6] as const;
/** β²: recall weighs twice as much as precision. */
const betaSquared = 4;

/** Runs of one order: of the text, of the reference, of both. */
interface Counts {
  readonly text: number;
  readonly reference: number;
  readonly both: number;
}

/**
 * chrF of up to six characters, white space left out (Popović 2015), as sacrebleu's `CHRF()`: of each text the
 * reference with the best F2 counts, and precision and recall are means over the orders, of all texts together. From 0
 * to 1, where sacrebleu counts to 100.
 */
export const chrf: TextMetric = {
  score: (text, references) => corpus([{ text, references }]),
  corpus,
};

function corpus(texts: readonly ScoredText[]): number {
  const parts = texts.map(bestCounts);
  const add = (a: Counts, b: Counts | undefined): Counts =>
    b === undefined ? a : { text: a.text + b.text, reference: a.reference + b.reference, both: a.both + b.both };
  return fScore(
    orders.map((_, at) => parts.reduce<Counts>((sum, part) => add(sum, part[at]), { text: 0, reference: 0, both: 0 })),
  );
}

function bestCounts({ text, references }: ScoredText): readonly Counts[] {
  const own = runsOf(text);
  let [best, bestScore]: [readonly Counts[], number] = [[], -1];
  for (const reference of references) {
    const counts = runsOf(reference).map((theirs, at) => compared(own[at] ?? new Map<string, number>(), theirs));
    const score = fScore(counts);
    if (score > bestScore) [best, bestScore] = [counts, score];
  }
  return best;
}

function runsOf(text: string): Map<string, number>[] {
  const characters = Array.from(splitWords(text).join(''));
  return orders.map((order) => countRuns(characters, order, ''));
}

function compared(own: ReadonlyMap<string, number>, theirs: ReadonlyMap<string, number>): Counts {
  const total = (counts: ReadonlyMap<string, number>): number => [...counts.values()].reduce((sum, n) => sum + n, 0);
  const both = [...own].reduce((sum, [run, count]) => sum + Math.min(count, theirs.get(run) ?? 0), 0);
  // As sacrebleu: a reference without runs of an order says nothing of that order.
  return { text: theirs.size === 0 ? 0 : total(own), reference: total(theirs), both };
}

function fScore(counts: readonly Counts[]): number {
  const told = counts.filter(({ text, reference }) => text > 0 && reference > 0);
  if (told.length === 0) return 0;
  const precision = told.reduce((sum, { both, text }) => sum + both / text, 0) / told.length;
  const recall = told.reduce((sum, { both, reference }) => sum + both / reference, 0) / told.length;
  return precision + recall === 0 ? 0 : ((1 + betaSquared) * precision * recall) / (betaSquared * precision + recall);
}
