// The tables of docs/folders.md: what becomes of each key of generation_config.json and of adapter_config.json.
import { importSource } from '../lib/importSource.mjs';
import { code, rowOf } from '../lib/keyRows.mjs';
import { withSection } from '../lib/section.mjs';

const page = 'docs/folders.md';

/** One generator for each table: each reads what the one before has written. */
export const adapterKeyTables = [
  async () => {
    const { generationKeys } = await importSource('packages/lowrank/src/front/generationConfig.ts');
    const rows = Object.entries(generationKeys).map(rowOf);
    return { path: page, text: withSection(page, 'generation_config.json', [['key', 'is', ''], ...rows]) };
  },
  async () => {
    const { loraSettings } = await importSource('packages/lora/src/settings.ts');
    const { knownKeys } = await importSource('packages/lora/src/otherKeys.ts');
    const rows = [
      ...Object.values(loraSettings.settings).flatMap(({ key, help }) =>
        key === undefined ? [] : [[code(key), 'followed', help]],
      ),
      ...Object.entries(knownKeys).map(([key, why]) => [code(key), 'ignored', why]),
      ...Object.entries(loraSettings.spentKeys).map(([key, why]) => [code(key), 'ignored', `${why}; with a warning`]),
      ...Object.entries(loraSettings.refusedKeys).map(([key, remedy]) => [code(key), 'refused', remedy]),
    ];
    return { path: page, text: withSection(page, 'adapter_config.json of LoRA', [['key', 'is', ''], ...rows]) };
  },
  async () => {
    const { sharedPeftKeys } = await importSource('packages/methods/src/peftKeys.ts');
    const { methods } = await importSource('packages/methods/src/methods.ts');
    const rows = Object.entries(sharedPeftKeys).map(([key, { use, why }]) => ['all', code(key), use, why]);
    for (const { title, peftKeys = {} } of Object.values(methods))
      for (const [key, { use, why }] of Object.entries(peftKeys)) rows.push([title, code(key), use, why]);
    const head = ['method', 'key', 'is', ''];
    return { path: page, text: withSection(page, 'adapter_config.json of other methods', [head, ...rows]) };
  },
];
