// The tables of docs/folders.md: what becomes of each key of a tokenizer's files.
import { importSource } from '../lib/importSource.mjs';
import { code, rowOf } from '../lib/keyRows.mjs';
import { withSection } from '../lib/section.mjs';

const page = 'docs/folders.md';
const source = 'packages/data/src/tokenizers/keyTables.ts';

/** By section of the page: the table's name in the source. */
const tables = {
  'tokenizer_config.json': 'tokenizerConfigKeys',
  'special_tokens_map.json': 'specialTokensMapKeys',
  'added_tokens.json': 'addedTokensKeys',
};

/** One generator for each table: each reads what the one before has written. */
export const tokenizerKeyTables = [
  ...Object.entries(tables).map(([section, name]) => async () => {
    const keys = Object.entries((await importSource(source))[name]);
    return { path: page, text: withSection(page, section, [['key', 'is', ''], ...keys.map(rowOf)]) };
  }),
  async () => {
    const { tokenizerJsonKeys } = await importSource(source);
    const rows = Object.entries(tokenizerJsonKeys).flatMap(([part, keys]) => {
      const entries = Object.entries(keys);
      if (entries.length === 0) return [[code(part), '', 'followed', 'has no keys']];
      return entries.map(([key, { use, why }]) => [code(part), code(key), use, why]);
    });
    return { path: page, text: withSection(page, 'tokenizer.json', [['part', 'key', 'is', ''], ...rows]) };
  },
];
