import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { bleu } from './bleu.js';
import { chrf } from './chrf.js';
import { rougeLsum } from './rougeLsum.js';
import { rougeN } from './rougeN.js';
import type { ScoredText } from './textMetric.js';

interface Golden {
  readonly cases: readonly (ScoredText & {
    readonly rouge1: number;
    readonly rouge2: number;
    readonly rougeLsum: number;
  })[];
  readonly corpora: readonly {
    readonly name: string;
    readonly rows: readonly number[];
    readonly bleu: number;
    readonly chrf: number;
  }[];
}

const file = new URL('../../../../parity/golden/textMetrics.json', import.meta.url);
const { cases, corpora } = JSON.parse(readFileSync(file, 'utf8')) as Golden;

test.each(cases)('ROUGE-1, ROUGE-2 and ROUGE-Lsum are what rouge_score says of $text', (golden) => {
  const { text, references } = golden;
  expect(rougeN(1).score(text, references)).toBeCloseTo(golden.rouge1, 12);
  expect(rougeN(2).score(text, references)).toBeCloseTo(golden.rouge2, 12);
  expect(rougeLsum.score(text, references)).toBeCloseTo(golden.rougeLsum, 12);
});

test.each(corpora)('BLEU and chrF of $name are what sacrebleu says', (golden) => {
  const texts = golden.rows.flatMap((row) => cases[row] ?? []);
  expect(texts.length).toBe(golden.rows.length);
  expect(bleu.corpus?.(texts)).toBeCloseTo(golden.bleu, 12);
  expect(chrf.corpus?.(texts)).toBeCloseTo(golden.chrf, 12);
});

test('of one text alone, BLEU and chrF are those of a corpus of it', () => {
  const [first] = cases;
  if (first === undefined) throw new Error('a golden without cases');
  expect(bleu.score(first.text, first.references)).toBe(bleu.corpus?.([first]));
  expect(chrf.score(first.text, first.references)).toBe(chrf.corpus?.([first]));
  expect(bleu.score(first.text, first.references)).toBeGreaterThan(0.2);
});
