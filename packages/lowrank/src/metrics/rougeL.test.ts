import { expect, it } from 'vitest';
import { readJson } from '../testing.js';
import { rougeL } from './rougeL.js';

const { cases } = readJson<{ cases: { text: string; references: string[]; rougeL: number }[] }>(
  new URL('../../../../parity/golden/rouge.json', import.meta.url).pathname,
);

it.each(cases)('is what rouge_score says of $text', ({ text, references, rougeL: expected }) => {
  expect(rougeL.score(text, references)).toBeCloseTo(expected, 12);
});
