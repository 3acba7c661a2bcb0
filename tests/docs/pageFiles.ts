import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../scripts/lib/paths.mjs';

const made = /^docs\/(?:reference\/|(?:errors|benchmarks|changelog)\.md$|node_modules\/|\.vitepress\/)/;

/** Every page that people write: the READMEs and the site's, below the root. */
export const pageFiles: readonly string[] = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(root, 'packages')).map((name) => `packages/${name}/README.md`),
  ...readdirSync(join(root, 'examples')).map((name) => `examples/${name}/README.md`),
  ...filesBelow('docs').filter((path) => path.endsWith('.md') && !path.includes('[') && !made.test(path)),
];

/** A fenced block of code of a page. */
export interface FencedBlock {
  readonly path: string;
  readonly language: string;
  readonly code: string;
  /** The text before it, on the page. */
  readonly before: string;
}

/** The fenced blocks of a page, in order. */
export function fencedBlocks(path: string): FencedBlock[] {
  const text = readFileSync(join(root, path), 'utf8');
  return [...text.matchAll(/^```(\w+)[^\n]*\n([\s\S]*?)^```/gm)].map((found) => ({
    path,
    language: found[1] ?? '',
    code: found[2] ?? '',
    before: text.slice(0, found.index),
  }));
}

/** Files below a folder of the checkout: not through the links of node_modules, which lead round in circles. */
export function filesBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (!entry.isDirectory()) return [path];
    return ['node_modules', 'dist', '.cache'].includes(entry.name) ? [] : filesBelow(path);
  });
}
