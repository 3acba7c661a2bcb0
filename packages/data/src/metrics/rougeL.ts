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
  score: (text, references) => Math.max(0, ...references.map((reference) => f1(tokens(text), tokens(reference)))),
};

function f1(text: readonly string[], reference: readonly string[]): number {
  const common = longestCommonSubsequence(text, reference);
  if (common === 0) return 0;
  const [precision, recall] = [common / text.length, common / reference.length];
  return (2 * precision * recall) / (precision + recall);
}

function tokens(text: string): string[] {
  return text
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((token) => token !== '');
}

/** Its length, row by row of the usual table. */
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
