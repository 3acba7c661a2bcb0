// What programs can import, from the packages' manifests.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../scripts/lib/paths.mjs';

/** @typedef {{ name: string, source: string, page: string }} Entry what programs import, its source and its page */

/**
 * The entries of all packages, the front door first.
 *
 * @returns {Entry[]}
 */
export function entries() {
  const order = (/** @type {Entry} */ { page }) => `${page.startsWith('lowrank') ? 0 : 1}${page}`;
  return readdirSync(join(root, 'packages'))
    .flatMap((directory) => {
      const home = join(root, 'packages', directory);
      const manifest = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'));
      return Object.entries(manifest.exports)
        .filter(([key, target]) => typeof target === 'object' && !key.includes('*'))
        .map(([key]) => ({
          name: key === '.' ? manifest.name : `${manifest.name}/${key.slice(2)}`,
          source: join(home, 'src', key === '.' ? 'index.ts' : `entries/${key.slice(2)}.ts`),
          page: [directory, ...(key === '.' ? [] : [key.slice(2).replaceAll('/', '-')])].join('-'),
        }));
    })
    .sort((a, b) => (order(a) < order(b) ? -1 : 1));
}
