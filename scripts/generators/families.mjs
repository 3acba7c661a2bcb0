// The list of model families, from the files in packages/models/src/families, and their table in docs/models.md.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { importSource } from '../lib/importSource.mjs';
import { root } from '../lib/paths.mjs';
import { withSection } from '../lib/section.mjs';

const folder = 'packages/models/src/families';

/** A family's file, test and export have one name. */
function familyNames() {
  return readdirSync(join(root, folder))
    .filter((name) => /^\w+\.ts$/.test(name) && !['index.ts', 'loaders.ts'].includes(name))
    .map((name) => name.replace(/\.ts$/, ''))
    .sort();
}

/** @returns {import('../generate.mjs').Generated} */
export function familyIndex() {
  const names = familyNames();
  return {
    path: `${folder}/index.ts`,
    text: [
      '// Generated from the files of this folder by scripts/generate.mjs.',
      "import type { ModelFamily } from '../family.js';",
      ...names.map((name) => `import { ${name} } from './${name}.js';`),
      '',
      'export const families: readonly ModelFamily[] = [',
      ...names.map((name) => `  ${name},`),
      '];',
      '',
    ].join('\n'),
  };
}

/** @returns {Promise<import('../generate.mjs').Generated>} */
export async function familyLoaders() {
  const { families } = await importSource(`${folder}/index.ts`);
  const types = families.flatMap(({ modelTypes }, at) => modelTypes.map((type) => [type, familyNames()[at]]));
  return {
    path: `${folder}/loaders.ts`,
    text: [
      '// Generated from the files of this folder by scripts/generate.mjs.',
      "import type { ModelFamily } from '../family.js';",
      '',
      '/** By `model_type`: a page loads the family of its model. */',
      'export const familyLoaders: Readonly<Record<string, () => Promise<ModelFamily>>> = {',
      ...types.map(
        ([type, name]) =>
          `  ${/^\w+$/.test(type) ? type : `'${type}'`}: async () => (await import('./${name}.js')).${name},`,
      ),
      '};',
      '',
    ].join('\n'),
  };
}

/** @returns {Promise<import('../generate.mjs').Generated>} */
export async function familyTable() {
  const { families } = await importSource(`${folder}/index.ts`);
  const rows = families.map(({ name, modelTypes, models, features, defaultTargets, llamaCpp }) => [
    name,
    code(modelTypes),
    models,
    features,
    code(defaultTargets),
    ggufUses(llamaCpp),
  ]);
  return {
    path: 'docs/models.md',
    text: withSection('docs/models.md', 'families', [
      ['family', '`model_type`', 'models', 'particulars', 'default targets', 'GGUF'],
      ...rows,
    ]),
  };
}

/** @param {{ model?: unknown, base?: unknown } | undefined} llamaCpp */
const ggufUses = (llamaCpp) => {
  if (llamaCpp === undefined) return '';
  return [llamaCpp.base === undefined ? [] : 'bases', 'adapters', llamaCpp.model === undefined ? [] : 'models']
    .flat()
    .join(', ');
};

/** @param {readonly string[]} names */
const code = (names) => names.map((name) => `\`${name}\``).join(', ');
