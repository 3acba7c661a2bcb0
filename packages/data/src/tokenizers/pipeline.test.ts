import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { TokenizerPipeline } from './pipeline.js';

const golden = (name: string): Record<string, unknown> =>
  JSON.parse(
    readFileSync(new URL(`../../../../parity/golden/tokenizers/${name}/tokenizer.json`, import.meta.url), 'utf8'),
  ) as Record<string, unknown>;

const pieces = golden('pieces');
/** An empty map: what takes time is to find the graphemes. */
const precompiled = { type: 'Precompiled', precompiled_charsmap: 'BAAAAAAAAAA=' };
const newline = { content: '\n', lstrip: true, rstrip: true, special: true, normalized: false, single_word: false };

it.each([
  ['BPE', pieces, 'a'],
  ['byte-level', golden('bytes'), '.'],
  ['byte-level', golden('bytes'), '😀'],
  ['Unigram', golden('unigram'), 'é'],
  ['Precompiled', { ...golden('unigram'), normalizer: precompiled }, 'é'],
  ['Precompiled', { ...golden('unigram'), normalizer: precompiled }, 'a\u0301'],
  ['NFKC', { ...pieces, normalizer: { type: 'NFKC' } }, '\u0301\u0316'],
  ['tokens that take blanks', { ...pieces, added_tokens: [{ id: 0, ...newline }] }, '\n'],
])('%s: 200 KB of the same characters take less than a second', (_, json, characters) => {
  const pipeline = new TokenizerPipeline(json);
  const text = characters.repeat(200_000 / new TextEncoder().encode(characters).length);
  const begin = process.cpuUsage();
  expect(pipeline.encode(text).length).toBeGreaterThan(0);
  expect(process.cpuUsage(begin).user / 1000).toBeLessThan(1000);
});
