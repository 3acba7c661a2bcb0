import type { EncodedRow } from '../encodeRow.js';

/** What a preference loss compares with: log probabilities of the two documents under the model at its start. */
export type ReferenceLogps = readonly [first: number, second: number];

/**
 * Two documents that a preference loss sees together: the chosen and the rejected completion of a prompt; or of KTO the
 * row, and its prompt with the completion of another row.
 */
export interface PreferenceExample {
  /** Line in the data file, from 1. */
  readonly line: number;
  readonly documents: readonly [first: EncodedRow, second: EncodedRow];
  /** KTO's label. */
  readonly isGood?: boolean;
  readonly reference?: ReferenceLogps;
}

/** Examples that always go together into a micro-batch: KTO's, whose divergence is of such a group; else one alone. */
export type ExampleGroup = readonly [PreferenceExample, ...PreferenceExample[]];

/** Positions of an example. */
export function lengthOf({ documents: [first, second] }: PreferenceExample): number {
  return first.ids.length + second.ids.length;
}
