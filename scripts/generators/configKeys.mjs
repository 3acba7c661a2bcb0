// The tables of docs/folders.md: what becomes of each key of config.json.
import { importSource } from '../lib/importSource.mjs';
import { code, rowOf } from '../lib/keyRows.mjs';
import { withSection } from '../lib/section.mjs';

const page = 'docs/folders.md';

/** One generator for each table: each reads what the one before has written. */
export const configKeyTables = [
  async () => {
    const { families } = await importSource('packages/models/src/families/index.ts');
    const { configKeysOf, otherConfigKeys } = await importSource('packages/models/src/configKeys.ts');
    /** Families by what they say of a key. */
    const byRow = new Map();
    for (const family of families)
      for (const [path, { use, why }] of pathsOf(configKeysOf(family))) {
        if (Object.hasOwn(otherConfigKeys, path) && otherConfigKeys[path].why === why) continue;
        const row = JSON.stringify([path, use, why]);
        byRow.set(row, [...(byRow.get(row) ?? []), family.name]);
      }
    const rows = [...byRow].map(([row, names]) => {
      const [path, use, why] = JSON.parse(row);
      return [code(path), names.length === families.length ? 'all' : names.join(', '), use, why];
    });
    rows.sort(([a = ''], [b = '']) => (a < b ? -1 : Number(a > b)));
    return { path: page, text: withSection(page, 'config.json', [['key', 'families', 'is', ''], ...rows]) };
  },
  async () => {
    const { otherConfigKeys } = await importSource('packages/models/src/configKeys.ts');
    const rows = Object.entries(otherConfigKeys).map(rowOf);
    return { path: page, text: withSection(page, 'config.json of any family', [['key', 'is', ''], ...rows]) };
  },
];

/** Keys of objects within by their paths; of a text part, which has the same keys again, none. */
function pathsOf(table, prefix = '') {
  return Object.entries(table).flatMap(([key, entry]) => [
    [prefix + key, entry],
    ...(entry.keys === undefined || key === 'text_config' || prefix.includes('.')
      ? []
      : pathsOf(entry.keys, `${prefix}${key}.`)),
  ]);
}
