/** Tokens as Google's `rouge_score` takes them without a stemmer: runs of a–z and 0–9 of the text in lower case. */
export function rougeTokens(text: string): string[] {
  return text
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((token) => token !== '');
}

/** 2PR/(P + R) with P = hits/candidate and R = hits/reference; 0 without a hit. */
export function rougeF1(hits: number, candidate: number, reference: number): number {
  if (hits === 0) return 0;
  const [precision, recall] = [hits / candidate, hits / reference];
  return (2 * precision * recall) / (precision + recall);
}

/** The best score over the references. */
export function best(references: readonly string[], score: (reference: string) => number): number {
  return Math.max(0, ...references.map(score));
}
