/** A measure of written texts against what they might have been. */
export interface TextMetric {
  /**
   * The score of one text, from 0 to 1: the best over the references.
   *
   * @throws LowrankError where a reference is none that the metric can judge by
   */
  score(text: string, references: readonly string[]): number;
}
