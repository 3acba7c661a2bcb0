import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Case } from '../../docs/generators/errors.mjs';
import { readErrors, readRemedies } from '../../docs/generators/errors.mjs';
import { root } from '../../scripts/lib/paths.mjs';

const known = readErrors();

/** The sources of all packages, tests or not, as one text. */
function sources(chosen: (path: string) => boolean): string {
  return readdirSync(join(root, 'packages'))
    .flatMap((name) => {
      const folder = join(root, 'packages', name, 'src');
      return readdirSync(folder, { recursive: true, encoding: 'utf8' })
        .filter((path) => path.endsWith('.ts') && chosen(path))
        .map((path) => readFileSync(join(folder, path), 'utf8'));
    })
    .join('\n');
}

test('every code that is written anywhere in the sources is in the index', () => {
  const text = sources((path) => !/\.test\.ts$|^testing|testWorker|assembly/.test(path));
  const written = [...text.matchAll(/\bcode: '([a-zA-Z]+\.[a-zA-Z-]+)'/g)].map(([, code = '']) => code);
  expect(new Set(written).size).toBeGreaterThan(250);
  expect([...new Set(written)].filter((code) => !known.has(code))).toEqual([]);
});

test('every code that a test expects is in the index', () => {
  const prefixes = new Set([...known.keys()].map((code) => code.split('.')[0]));
  // Codes of a test's own, which begins no package's, are none of ours.
  const text = sources((path) => path.endsWith('.test.ts'));
  const expected = [...text.matchAll(/\bcode: '([a-z][a-zA-Z]*)\.([a-zA-Z-]+)'/g)].map(
    ([, group = '', name = '']) => [group, name] as const,
  );
  const missing = expected.filter(([group, name]) => prefixes.has(group) && !known.has(`${group}.${name}`));
  expect(new Set(missing.map((parts) => parts.join('.')))).toEqual(new Set());
});

test('every code has a cause, and says what to do about it', async () => {
  const remedies = await readRemedies();
  const codes = [...known].filter(([code]) => code !== 'internal');
  expect(codes.length).toBeGreaterThan(250);
  const without = (part: (code: string, cases: readonly Case[]) => unknown): string[] =>
    codes.flatMap(([code, cases]) => (part(code, cases) ? [] : [code]));
  expect(without((_, cases) => cases.some(({ what, expected }) => what || expected))).toEqual([]);
  expect(without((code, cases) => remedies[code] ?? cases.some(({ remedy }) => remedy))).toEqual([]);
});

test('what is said about a code is needed: its errors do not say it themselves', async () => {
  const idle = Object.keys(await readRemedies()).filter(
    (code) => known.get(code)?.every(({ remedy }) => remedy !== undefined) ?? true,
  );
  expect(idle).toEqual([]);
});
