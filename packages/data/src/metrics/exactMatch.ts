import type { TextMetric } from './textMetric.js';

/** 1 where the text is one of the references, but for white space at its ends and how much there is between words. */
export const exactMatch: TextMetric = {
  score: (text, references) => (references.some((reference) => normalized(reference) === normalized(text)) ? 1 : 0),
};

export function normalized(text: string): string {
  return text.trim().replace(/\s+/g, ' ');
}
