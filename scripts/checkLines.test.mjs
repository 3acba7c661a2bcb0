import { expect, test } from 'vitest';
import { isChecked, longLines, widest } from './checkLines.mjs';

const wide = 'x '.repeat(widest / 2 + 1).trim();

test('a line of more columns than fit is found by its number', () => {
  expect(longLines('a.ts', `short\n${wide}\n${'é'.repeat(widest)}\n`)).toEqual([2]);
});

test('a row of a Markdown table may be wide, and only there', () => {
  expect(longLines('a.md', `| ${wide} |\n${wide}`)).toEqual([2]);
  expect(longLines('a.py', `| ${wide} |`)).toEqual([1]);
});

test('a long URL may stand out, the text around it may not', () => {
  const url = `https://example.com/${'a'.repeat(widest)}`;
  expect(longLines('a.md', `see [it](${url}).`)).toEqual([]);
  expect(longLines('a.md', `${wide} ${url}`)).toEqual([1]);
});

test('code and prose are looked at, data is not', () => {
  expect(['tests/a.test.ts', 'README.md', '.ci/run', 'parity/make.sh', 'a/b.yml'].every(isChecked)).toBe(true);
  expect(
    ['pnpm-lock.yaml', 'package.json', 'parity/golden/x.md', 'packages/cpu/src/generated/relaxed.ts'].some(isChecked),
  ).toBe(false);
});
