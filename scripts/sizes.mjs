// Prints each package's published JavaScript and WebAssembly, gzipped, beside its budget. `--write` lowers budgets to
// 15% above what is there; raising one is a hand's work in scripts/sizes.json, in a commit that says why.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { root } from './lib/paths.mjs';

const budgetFile = join(root, 'scripts/sizes.json');

/** @returns {Record<string, number>} gzipped bytes by package */
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
  for (const [name, budget] of Object.entries(next)) {
    const size = sizeOf(join(root, 'packages', name, 'dist'));
    console.log(`${name.padEnd(12)} ${size === undefined ? 'not built' : `${size} B of ${budget} B`}`);
    if (size !== undefined) next[name] = Math.min(budget, Math.ceil((size * 1.15) / 100) * 100);
  }
  if (process.argv.includes('--write')) writeFileSync(budgetFile, `${JSON.stringify(next, null, 2)}\n`);
}
