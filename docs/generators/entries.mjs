// What programs can import, from the packages' manifests.
import { readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { root } from '../../scripts/lib/paths.mjs';

/** @typedef {{ name: string, source: string, page: string }} Entry what programs import, its source and its page */

/**
 * The entries of all packages, the front door first. A worker's script is no entry: it exports nothing.
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
        .filter(([, target]) => typeof target === 'object')
        .map(([key, { types }]) => ({
          name: key === '.' ? manifest.name : `${manifest.name}/${key.slice(2)}`,
          source: sourceOf(home, types),
          page: [directory, ...(key === '.' ? [] : [key.slice(2).replaceAll('/', '-')])].join('-'),
        }));
    })
    .filter(({ source }) => /^export /m.test(readFileSync(source, 'utf8')))
    .sort((a, b) => (order(a) < order(b) ? -1 : 1));
}

/** Of `./dist/NAME.d.ts`, as the builds name it. @param {string} home @param {string} types */
function sourceOf(home, types) {
  const file = `${basename(types, '.d.ts')}.ts`;
  const paths = readdirSync(join(home, 'src'), { recursive: true, encoding: 'utf8' });
  const found =
    [`entries/${file}`, file].find((path) => paths.includes(path)) ?? paths.find((path) => basename(path) === file);
  if (found === undefined) throw new Error(`${types}: expected its source, ${file}, below ${home}/src`);
  return join(home, 'src', found);
}
