import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { root } from '../../scripts/lib/paths.mjs';

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

test('every error code on the page of the command line is one that the packages throw', () => {
  const sources = sourcesOf(join(root, 'packages')).join('\n');
  const codes = tableAfter(page('cli.md'), '## Bad input').flatMap(([, cell = '']) =>
    [...cell.matchAll(/`([a-zA-Z0-9]+\.[a-zA-Z-]+)`/g)].map(([, code = '']) => code),
  );
  expect(codes.length).toBeGreaterThan(30);
  const unknown = codes.filter((code) => !sources.includes(`'${code}'`) && !throwsThroughHelper(sources, code));
  expect(unknown).toEqual([]);
});

/** Some files give their prefix once: `code: \`safetensors.${name}\`` and fail('truncated', …). */
function throwsThroughHelper(sources: string, code: string): boolean {
  const [prefix = '', name = ''] = code.split('.');
  return sources.includes(`\`${prefix}.\${`) && sources.includes(`'${name}'`);
}

function sourcesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(
      (name) =>
        name.includes('src') && name.endsWith('.ts') && !name.endsWith('.test.ts') && !name.includes('node_modules'),
    )
    .map((name) => readFileSync(join(folder, name), 'utf8'));
}

const pages = readdirSync(join(root, 'docs'), { encoding: 'utf8' }).filter((name) => name.endsWith('.md'));

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
    const source = readFileSync(join(root, 'docs', target), 'utf8');
    if (region !== undefined) expect(source).toMatch(new RegExp(`#region ${region}\\n[\\s\\S]+#endregion ${region}`));
  }

  const tests = [...text.matchAll(/`npm test -- ([^`]+)`/g)].flatMap(([, filters = '']) => filters.split(' '));
  const all = ['packages', 'tests', 'examples'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((file) => `${folder}/${file}`),
  );
  expect(
    tests.filter(
      (filter) =>
        !all.some((file) => file.includes(filter) && /\.test\.m?[jt]s$/.test(file) && !file.includes('node_modules')),
    ),
  ).toEqual([]);
});

test('llms.txt leads to pages that exist, and every page is in it', () => {
  const linked = [...page('public/llms.txt').matchAll(/\]\(\/([\w/]+)\)/g)].map(([, path = '']) => path);
  expect(
    linked.filter((path) => !existsSync(join(root, 'docs', path.endsWith('/') ? `${path}index.md` : `${path}.md`))),
  ).toEqual([]);
  expect(pages.filter((name) => name !== 'index.md' && !linked.includes(name.replace('.md', '')))).toEqual([]);
});
