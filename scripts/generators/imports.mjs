// The table of who may import whom in docs/architecture.md, from scripts/importList.json.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../lib/paths.mjs';
import { withSection } from '../lib/section.mjs';

const page = 'docs/architecture.md';

/** @returns {import('../generate.mjs').Generated} */
export function importTable() {
  /** @type {Record<string, string[]>} */
  const list = JSON.parse(readFileSync(join(root, 'scripts/importList.json'), 'utf8'));
  const rows = Object.entries(list).map(([name, imports]) => [
    name,
    imports.length === 0 ? 'nothing' : imports.join(', '),
  ]);
  return { path: page, text: withSection(page, 'imports', [['package', 'may import'], ...rows]) };
}
