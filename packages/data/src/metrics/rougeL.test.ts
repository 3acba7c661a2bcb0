import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { rougeL } from './rougeL.js';

interface Golden {
  readonly cases: readonly { readonly text: string; readonly references: readonly string[]; readonly rougeL: number }[];
}

const file = new URL('../../../../parity/golden/rouge.json', import.meta.url);
const { cases } = JSON.parse(readFileSync(file, 'utf8')) as Golden;

it.each(cases)('is what rouge_score says of $text', ({ text, references, rougeL: expected }) => {
  expect(rougeL.score(text, references)).toBeCloseTo(expected, 12);
});
