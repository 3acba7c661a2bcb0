// Prints each package's published JavaScript and WebAssembly, and what pages made from them load first
// (scripts/pageSizes.mjs), gzipped, beside their budgets. `--write` lowers packages' budgets to 15% above what is
// there; raising one is a hand's work in scripts/sizes.json, in a commit that says why.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { root } from './lib/paths.mjs';
import { firstLoadOf, pages } from './pageSizes.mjs';

const budgetFile = join(root, 'scripts/sizes.json');

/** @returns {{ packages: Record<string, number>, pages: Record<string, number> }} gzipped bytes */
export const budgets = () => JSON.parse(readFileSync(budgetFile, 'utf8'));

/**
 * @param {string} dist @returns {number | undefined} gzipped bytes of a dist folder, file by file; undefined when it is
 * not built
 */
export function sizeOf(dist) {
  if (!existsSync(dist)) return undefined;
  return (
    readdirSync(dist, { recursive: true })
      // Once: most of what browsers get is the same again.
      .filter((name) => /\.(js|wasm)$/.test(String(name)) && !String(name).startsWith('browser'))
      .reduce((sum, name) => sum + gzipSync(readFileSync(join(dist, String(name)))).length, 0)
  );
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const next = budgets();
  /** @param {string} name @param {number | undefined} size @param {number | undefined} budget */
  const show = (name, size, budget) =>
    console.log(`${name.padEnd(18)} ${size === undefined ? 'not built' : `${size} B of ${budget} B`}`);
  for (const [name, budget] of Object.entries(next.packages)) {
    const size = sizeOf(join(root, 'packages', name, 'dist'));
    show(name, size, budget);
    if (size !== undefined) next.packages[name] = Math.min(budget, Math.ceil((size * 1.15) / 100) * 100);
  }
  for (const [name, page] of Object.entries(pages)) {
    const { bytes, modules } = await firstLoadOf(page);
    show(name, bytes, next.pages[name]);
    if (!process.argv.includes('--modules')) continue;
    // What weighs most in it, in characters before gzip.
    const heaviest = Object.entries(modules).sort(([, a], [, b]) => b - a);
    for (const [id, length] of heaviest.slice(0, 40)) console.log(`  ${length} ${relative(root, id)}`);
  }
  if (process.argv.includes('--write')) writeFileSync(budgetFile, `${JSON.stringify(next, null, 2)}\n`);
}
