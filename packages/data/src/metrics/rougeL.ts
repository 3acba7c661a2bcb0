import { best, rougeF1, rougeTokens } from './rougeTokens.js';
import type { TextMetric } from './textMetric.js';

/**
 * ROUGE-L as Google's `rouge_score` counts it (`rougeL`, no stemmer), the best F1 over the references:
 *
 *     P = LCS(text, reference) / |text|    R = LCS(text, reference) / |reference|    F1 = 2 P R / (P + R)
 *
 * over tokens of lower-case a–z and 0–9, all else being space between them (Lin, "ROUGE: A Package for Automatic
 * Evaluation of Summaries", 2004).
 */
export const rougeL: TextMetric = {
  score(text, references) {
    const own = rougeTokens(text);
    return best(references, (reference) => {
      const theirs = rougeTokens(reference);
      return rougeF1(longestCommonSubsequence(own, theirs), own.length, theirs.length);
    });
  },
};

/** The length of a longest one, row by row of the usual table. */
function longestCommonSubsequence(a: readonly string[], b: readonly string[]): number {
  let before = new Uint32Array(b.length + 1);
  let row = new Uint32Array(b.length + 1);
  for (const token of a) {
    for (let at = 1; at <= b.length; at++)
      row[at] = b[at - 1] === token ? (before[at - 1] ?? 0) + 1 : Math.max(before[at] ?? 0, row[at - 1] ?? 0);
    [before, row] = [row, before];
  }
  return before[b.length] ?? 0;
}
