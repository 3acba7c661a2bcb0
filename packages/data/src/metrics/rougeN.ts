import { countRuns } from './runs.js';
import { best, rougeF1, rougeTokens } from './rougeTokens.js';
import type { TextMetric } from './textMetric.js';

/**
 * ROUGE-N as Google's `rouge_score` counts it (`rouge1`, `rouge2`, no stemmer): F1 of the runs of N tokens that text
 * and reference have in common, each as often as both have it; the best over the references.
 */
export function rougeN(order: number): TextMetric {
  const total = (counts: ReadonlyMap<string, number>): number => [...counts.values()].reduce((sum, n) => sum + n, 0);
  return {
    score(text, references) {
      const own = countRuns(rougeTokens(text), order);
      return best(references, (reference) => {
        const theirs = countRuns(rougeTokens(reference), order);
        const hits = [...theirs].reduce((sum, [run, count]) => sum + Math.min(count, own.get(run) ?? 0), 0);
        return rougeF1(hits, total(own), total(theirs));
      });
    },
  };
}
