import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { navigation } from '../../docs/.vitepress/navigation.mjs';
import { readErrors } from '../../docs/generators/errors.mjs';
import { root } from '../../scripts/lib/paths.mjs';
import { filesBelow, pageFiles } from './pageFiles';

const page = (name: string): string => readFileSync(join(root, 'docs', name), 'utf8');

/** The cells of the first table after a heading, by line, without its head. */
function tableAfter(text: string, heading: string): string[][] {
  const section = text.slice(text.indexOf(`\n${heading}\n`) + heading.length + 2).split(/\n#+ /)[0] ?? '';
  const lines = section.split('\n').filter((line) => line.startsWith('|'));
  return lines.slice(2).map((line) =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

test('the walk from `lowrank train` to a saved adapter takes at most 50 files, each once', () => {
  const files = tableAfter(page('architecture.md'), '## From `lowrank train` to a kernel and a saved adapter').map(
    ([cell = '']) => cell.replaceAll('`', ''),
  );
  expect(files.length).toBeGreaterThan(30);
  expect(files.length).toBeLessThanOrEqual(50);
  expect(files.filter((file, index) => files.indexOf(file) !== index)).toEqual([]);
  expect(files.filter((file) => !existsSync(join(root, 'packages', file)))).toEqual([]);
});

test('every error code on the page of the command line is in the index of errors', () => {
  const codes = tableAfter(page('cli.md'), '## Bad input').flatMap(([, cell = '']) =>
    [...cell.matchAll(/`([a-zA-Z0-9]+\.[a-zA-Z-]+)`/g)].map(([, code = '']) => code),
  );
  expect(codes.length).toBeGreaterThan(30);
  const known = readErrors();
  expect(codes.filter((code) => !known.has(code))).toEqual([]);
});

const pages = pageFiles.filter((path) => path.startsWith('docs/')).map((path) => path.slice('docs/'.length));

const testFiles = ['packages', 'tests', 'examples', 'scripts']
  .flatMap((folder) => filesBelow(folder))
  .filter((path) => /\.test\.m?[jt]s$/.test(path));

test.each(pages)('%s names files, snippets and tests that exist', (name) => {
  const text = page(name);
  const files = [
    ...text.matchAll(/`([a-zA-Z]+\/src\/[\w/.]+\.ts|(?:examples|parity|scripts|bench|tests)\/[\w/.]+|plan\/[\w/.]+)`/g),
  ].map(([, path = '']) => path);
  const candidates = (path: string): string[] => [
    path,
    `packages/${path}`,
    `packages/tensor/src/${path}`,
    `examples/web/${path}`,
  ];
  expect(files.filter((path) => !candidates(path).some((candidate) => existsSync(join(root, candidate))))).toEqual([]);

  for (const [, target = '', region] of text.matchAll(/^<<< ([^#\s{]+)(?:#(\w+))?/gm)) {
    const source = readFileSync(join(root, 'docs', name, '..', target), 'utf8');
    if (region !== undefined) expect(source).toMatch(new RegExp(`#region ${region}\\n[\\s\\S]+#endregion ${region}`));
  }

  const tests = [...text.matchAll(/`npm test -- ([^`]+)`/g)]
    .flatMap(([, filters = '']) => filters.split(' '))
    .filter((filter) => !filter.startsWith('--'));
  expect(tests.filter((filter) => !testFiles.some((file) => file.includes(filter)))).toEqual([]);
});

test('every page is in the navigation, and the navigation leads to pages that are there or are made', () => {
  const made = new Set(['/errors', '/benchmarks', '/changelog', '/reference/']);
  const links = navigation.flatMap(({ items }) => items.map(({ link }) => link));
  const pathOf = (link: string): string => `${link.slice(1)}${link.endsWith('/') ? 'index' : ''}.md`;
  expect(links.filter((link) => !made.has(link) && !existsSync(join(root, 'docs', pathOf(link))))).toEqual([]);
  const reached = new Set(['index.md', ...links.map(pathOf)]);
  expect(pages.filter((name) => !reached.has(name))).toEqual([]);
});

test('llms.txt leads to every page of the navigation', () => {
  const linked = [...page('public/llms.txt').matchAll(/\]\((\/[\w/]+)\)/g)].map(([, link]) => link);
  expect(linked).toEqual(navigation.flatMap(({ items }) => items.map(({ link }) => link)));
});
