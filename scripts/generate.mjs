// Writes what is derived from sources: lists of files, tables of documentation. With `--check` it writes nothing and
// fails where a file is not what it would write. A generator is a file in scripts/generators, and a name below.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { adapterKeyTables } from './generators/adapterKeys.mjs';
import { initIndex, variantIndex } from './generators/adapterKinds.mjs';
import { calibrations } from './generators/calibrations.mjs';
import { configKeyTables } from './generators/configKeys.mjs';
import { familyIndex, familyLoaders, familyTable } from './generators/families.mjs';
import { flagTables } from './generators/flags.mjs';
import { importTable } from './generators/imports.mjs';
import { pageList } from './generators/pageList.mjs';
import { manifests } from './generators/manifests.mjs';
import { runSchema } from './generators/runSchema.mjs';
import { tokenizerKeyTables } from './generators/tokenizerKeys.mjs';
import { root } from './lib/paths.mjs';

/** @typedef {{ path: string, text: string }} Generated a file below the root, and the whole of its text */

/** In order: a table may be read from a list that was written before it. */
const generators = [
  familyIndex,
  familyLoaders,
  familyTable,
  initIndex,
  variantIndex,
  importTable,
  calibrations,
  ...flagTables,
  ...configKeyTables,
  ...adapterKeyTables,
  ...tokenizerKeyTables,
  runSchema,
  pageList,
  ...manifests,
];

/**
 * The generated files that are not on disk as they should be.
 *
 * @param {(file: Generated) => void} [onStale] called with each before the next is generated
 * @returns {Promise<Generated[]>}
 */
export async function staleFiles(onStale) {
  const stale = [];
  for (const generate of generators) {
    const file = await generate();
    if (isCurrent(file)) continue;
    stale.push(file);
    onStale?.(file);
  }
  return stale;
}

/** @param {Generated} file */
function isCurrent({ path, text }) {
  try {
    return readFileSync(join(root, path), 'utf8') === text;
  } catch {
    return false;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const check = process.argv.includes('--check');
  const stale = await staleFiles((file) => {
    if (!check) writeFileSync(join(root, file.path), file.text);
    const what = check ? 'is not up to date: run node scripts/generate.mjs' : 'written';
    console.log(`${file.path} ${what}`);
  });
  process.exitCode = check && stale.length > 0 ? 1 : 0;
}
