/** A text and what it might have been. */
export interface ScoredText {
  readonly text: string;
  readonly references: readonly string[];
}

/** A measure of written texts against what they might have been. */
export interface TextMetric {
  /**
   * The score of one text, from 0 to 1: the best over the references.
   *
   * @throws LowrankError where a reference is none that the metric can judge by
   */
  score(text: string, references: readonly string[]): number;
  /** The score of all texts together, where that is not the mean of their scores. */
  corpus?(texts: readonly ScoredText[]): number;
}
