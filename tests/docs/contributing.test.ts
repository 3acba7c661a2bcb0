import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { root } from '../../scripts/lib/paths.mjs';

const folder = join(root, 'docs/contributing');
const pages = readdirSync(folder).filter(
  (name) => name.endsWith('.md') && readFileSync(join(folder, name), 'utf8').startsWith('# Add '),
);

/** The code of the tours is included from files that are compiled and tested; what they name has to be there. */
describe.each(pages)('%s', (name) => {
  const text = readFileSync(join(folder, name), 'utf8');

  test('each file that it includes is there, with the part that it names', () => {
    const included = [...text.matchAll(/^<<< (\S+?)(?:#(\w+))?$/gm)];
    expect(included.length).toBeGreaterThan(0);
    for (const [, path = '', region] of included) {
      const code = readFileSync(resolve(folder, path), 'utf8');
      if (region !== undefined) expect(code).toContain(`#region ${region}`);
    }
  });
});

test('the tour of a family names files that are there, and its family is in the list', () => {
  const text = readFileSync(join(folder, 'family.md'), 'utf8');
  const paths = [...text.matchAll(/`((?:packages|parity|scripts|tests)\/[\w./]+)`/g)].map(([, path = '']) => path);
  expect(paths.length).toBeGreaterThan(8);
  expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  const list = readFileSync(join(root, 'packages/models/src/families/index.ts'), 'utf8');
  expect(list).toContain("import { granite } from './granite.js'");
});

test.each([
  ['setting.md', 4],
  ['method.md', 2],
])('the diffs of %s have been applied, and it names files that are there', (name, count) => {
  const text = readFileSync(join(folder, name), 'utf8');
  const diffs = [...text.matchAll(/^```diff (\S+)\n([\s\S]*?)^```$/gm)];
  expect(diffs).toHaveLength(count);
  for (const [, path = '', diff = ''] of diffs) {
    const after = diff.replaceAll(/^-.*\n/gm, '').replaceAll(/^[+ ]/gm, '');
    expect(readFileSync(join(root, path), 'utf8')).toContain(after);
  }
  const paths = [...text.matchAll(/`((?:packages|parity|scripts|tests|docs)\/[\w./]+)`/g)].map(([, path = '']) => path);
  expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});
