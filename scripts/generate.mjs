// Writes what is derived from sources: lists of files, tables of documentation. With `--check` it writes nothing and
// fails where a file is not what it would write. A generator is a file in scripts/generators and a line in `staleFiles`.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { familyIndex, familyTable } from './generators/families.mjs';
import { root } from './lib/paths.mjs';

/** @typedef {{ path: string, text: string }} Generated a file below the root, and the whole of its text */

/** @returns {Promise<Generated[]>} the generated files that are not on disk as they should be */
export async function staleFiles() {
  const files = [familyIndex(), await familyTable()];
  return files.filter((file) => !isCurrent(file));
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
  const stale = await staleFiles();
  if (process.argv.includes('--check')) {
    for (const { path } of stale) console.error(`${path} is not up to date: run node scripts/generate.mjs`);
    process.exitCode = stale.length === 0 ? 0 : 1;
  } else {
    for (const { path, text } of stale) {
      writeFileSync(join(root, path), text);
      console.log(`wrote ${path}`);
    }
  }
}
