import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { appendLine, bestRate, leastLoss, ninetyPercent, readLines, tableOf } from './results.mjs';

const figures = {
  steps: 4,
  trained: 1234,
  share: 0.0012,
  fileBytes: 2e6,
  peakBytes: 3e8,
  cpuSeconds: 12,
  device: 'x',
};
const tried = (label, rate, loss) => ({
  part: 'sentiment',
  label,
  rate,
  seed: 0,
  ...figures,
  scores: { valid: { loss } },
});
const scored = (part, label, seed, accuracy) => ({
  part,
  label,
  rate: 0.01,
  seed,
  ...figures,
  scores: { test: { loss: 1, accuracy } },
});

test('lines are kept one by one, and read again', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lecture-'));
  const file = join(folder, 'results.jsonl');
  expect(readLines(file)).toEqual([]);
  const lines = [tried('lora', 0.1, 0.5), scored('sentiment', 'lora', 0, 0.8)];
  for (const line of lines) appendLine(file, line);
  expect(readLines(file)).toEqual(lines);
  rmSync(folder, { recursive: true });
});

test('the rate with the least loss is taken; one whose run came to nothing is not', () => {
  const failed = { ...tried('lora', 1, 0), scores: undefined, error: 'not finite' };
  const lines = [tried('lora', 0.1, 0.5), tried('lora', 0.2, 0.4), tried('full', 0.3, 0.1), failed];
  expect(bestRate(lines, { part: 'sentiment', label: 'lora' })).toBe(0.2);
  expect(leastLoss(lines, { part: 'sentiment', label: 'lora' })).toBe(0.4);
  expect(bestRate(lines, { part: 'sentiment', label: 'bitfit' })).toBeUndefined();
});

test('a table has means and deviations over the seeds that are done', () => {
  const part = {
    title: 'A part',
    tests: { test: 'test.jsonl' },
    metrics: ['accuracy'],
    contenders: ['lora', 'full', 'bitfit'].map((label) => ({ label, rates: [0.01, 0.03] })),
  };
  const first = scored('sentiment', 'lora', 0, 0.8);
  const lines = [
    { ...first, scores: { ...first.scores, valid: { loss: 0.3 } } },
    { ...tried('lora', 0.03, 0.4), scores: { valid: { loss: 0.4 } } },
    scored('sentiment', 'lora', 1, 0.82),
    { part: 'sentiment', label: 'full', rate: 0.1, seed: 0, error: 'out of memory' },
  ];
  expect(tableOf('sentiment', part, lines)?.split('\n').slice(4)).toEqual([
    '| lora | 0.01 | 1,234 | 0.120% | 81.0 ± 1.4 | 2 | 12 s | 300 MB | 2.00 MB |',
    '| full | out of memory |',
  ]);
  expect(tableOf('tokens', part, lines)).toBeUndefined();
});

test('d90 is the smallest dimension with nine tenths of the score of full fine-tuning', () => {
  const full = scored('sentiment', 'full', 0, 0.9);
  const at = (d, accuracy) => scored('dimensions', `d = ${d}`, 0, accuracy);
  expect(ninetyPercent([full, at(1000, 0.88), at(10, 0.6), at(100, 0.82)])).toBe(100);
  expect(ninetyPercent([full, at(10, 0.6)])).toBeUndefined();
});
