import { best, rougeF1, rougeTokens } from './rougeTokens.js';
import type { TextMetric } from './textMetric.js';

/**
 * ROUGE-Lsum as Google's `rouge_score` counts it (no stemmer): a line is a sentence; each sentence of the reference is
 * matched with every one of the text, and the union of the common subsequences counts, no token more often than either
 * has it (Lin 2004, section 3.2). The best over the references.
 */
export const rougeLsum: TextMetric = {
  score: (text, references) => best(references, (reference) => summaryF1(sentences(text), sentences(reference))),
};

function sentences(text: string): string[][] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map(rougeTokens);
}

function summaryF1(candidate: readonly (readonly string[])[], reference: readonly (readonly string[])[]): number {
  const left = [counted(candidate.flat()), counted(reference.flat())];
  let hits = 0;
  for (const sentence of reference)
    for (const token of unionOfMatches(sentence, candidate)) {
      if (left.some((counts) => (counts.get(token) ?? 0) === 0)) continue;
      hits++;
      for (const counts of left) counts.set(token, (counts.get(token) ?? 0) - 1);
    }
  return rougeF1(hits, candidate.flat().length, reference.flat().length);
}

function counted(tokens: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const token of tokens) counts.set(token, (counts.get(token) ?? 0) + 1);
  return counts;
}

/** The tokens of a sentence that are part of its longest common subsequence with any of the others. */
function unionOfMatches(sentence: readonly string[], others: readonly (readonly string[])[]): string[] {
  const matched = new Set(others.flatMap((other) => commonIndices(sentence, other)));
  return sentence.filter((_, at) => matched.has(at));
}

/** Where a longest common subsequence lies in `a`: of several, the one that rouge_score walks back to. */
function commonIndices(a: readonly string[], b: readonly string[]): number[] {
  const width = b.length + 1;
  const table = new Uint32Array((a.length + 1) * width);
  const lengthAt = (i: number, j: number): number => table[i * width + j] ?? 0;
  for (let i = 1; i <= a.length; i++)
    for (let j = 1; j <= b.length; j++)
      table[i * width + j] =
        a[i - 1] === b[j - 1] ? lengthAt(i - 1, j - 1) + 1 : Math.max(lengthAt(i - 1, j), lengthAt(i, j - 1));
  const found: number[] = [];
  let [i, j] = [a.length, b.length];
  while (i > 0 && j > 0) {
    if (a[i - 1] === b[j - 1]) {
      found.push(i - 1);
      i--;
      j--;
    } else if (lengthAt(i, j - 1) > lengthAt(i - 1, j)) j--;
    else i--;
  }
  return found;
}
