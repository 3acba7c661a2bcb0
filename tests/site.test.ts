import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { openSearch } from '../docs/generators/search.mjs';
import { root } from '../scripts/lib/paths.mjs';

// The site as it is published. `pnpm build` makes it.
const dist = join(root, 'docs/.vitepress/dist');
const files = readdirSync(dist, { recursive: true, encoding: 'utf8' });
const pages = files.filter((name) => name.endsWith('.html'));

/** A page's text, read once: what it links to, and what can be linked to. */
const texts = new Map(pages.map((name) => [name, readFileSync(join(dist, name), 'utf8')]));
const anchors = new Map<string, Set<string>>();

function anchorsOf(name: string): Set<string> {
  const known = anchors.get(name);
  if (known !== undefined) return known;
  const found = new Set([...(texts.get(name) ?? '').matchAll(/\sid="([^"]+)"/g)].map(([, id = '']) => unescaped(id)));
  anchors.set(name, found);
  return found;
}

const unescaped = (text: string): string => text.replaceAll('&amp;', '&').replaceAll('&#39;', "'");

/** The file that an address of the site stands for. */
function fileOf(path: string): string | undefined {
  const name = decodeURIComponent(path).slice(1);
  return [name, `${name}.html`, `${name}index.html`].find(
    (each) => each !== '' && existsSync(join(dist, each)) && !each.endsWith('/'),
  );
}

function deadLinks(page: string): string[] {
  const links = [...(texts.get(page) ?? '').matchAll(/\s(?:href|src)="([^"]+)"/g)].map(([, link = '']) =>
    unescaped(link),
  );
  return links
    .filter((link) => link.startsWith('/') || link.startsWith('#') || link.startsWith('.'))
    .filter((link) => {
      const { pathname, hash } = new URL(link, `https://site/${page.replace(/(?:index)?\.html$/, '')}`);
      const file = link.startsWith('#') ? page : fileOf(pathname);
      if (file === undefined) return true;
      return hash.length > 1 && file.endsWith('.html') && !anchorsOf(file).has(decodeURIComponent(hash.slice(1)));
    })
    .map((link) => `${page}: ${link}`);
}

test('no link is dead, neither its page nor the place on the page', () => {
  expect(pages.length).toBeGreaterThan(70);
  const dead = pages.filter((name) => name !== '404.html').flatMap((name) => deadLinks(name));
  expect([...new Set(dead)]).toEqual([]);
});

let search: (words: string) => string[];
beforeAll(async () => {
  search = await openSearch(dist);
});

test.each([
  ['resume', /^\/(?:runs|guides\/longRuns)/],
  ['NaN', /^\/(?:troubleshooting|architecture|reliability|runs)/],
  ['rank', /^\/concepts\/rank/],
  ['data.columns', /^\/errors/],
  ['loadModel', /^\/reference\/lowrank/],
])('search finds %s', (words, wanted) => {
  expect(search(words).slice(0, 8)).toContainEqual(expect.stringMatching(wanted));
});

test('llms-full.txt has every page that people write', () => {
  const text = readFileSync(join(dist, 'llms-full.txt'), 'utf8');
  for (const title of ['# Troubleshooting', '# Rank and alpha', '# Architecture', '# Data'])
    expect(text).toContain(`\n${title}\n`);
  expect(text).not.toMatch(/^<<< /m);
});
