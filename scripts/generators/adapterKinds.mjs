// The lists of LoRA's initializations and variants, from the files in packages/lora/src/inits and variants.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../lib/paths.mjs';

/**
 * An object's file and export have one name; other files of the folder are tools.
 *
 * @param {string} folder @param {string} type
 */
function namesIn(folder, type) {
  return readdirSync(join(root, folder))
    .filter((name) => /^\w+\.ts$/.test(name))
    .map((name) => name.replace(/\.ts$/, ''))
    .filter((name) =>
      new RegExp(`^export const ${name}: ${type}\\b`, 'm').test(readFileSync(join(root, folder, `${name}.ts`), 'utf8')),
    )
    .sort();
}

/**
 * @param {{ folder: string, type: string, from: string, list: (names: readonly string[]) => readonly string[] }} index
 */
function indexOf({ folder, type, from, list }) {
  const names = namesIn(folder, type);
  return {
    path: `${folder}/index.ts`,
    text: [
      '// Generated from the files of this folder by scripts/generate.mjs.',
      `import type { ${type} } from '${from}';`,
      ...names.map((name) => `import { ${name} } from './${name}.js';`),
      '',
      ...list(names),
      '',
    ].join('\n'),
  };
}

/** @returns {import('../generate.mjs').Generated} */
export const initIndex = () =>
  indexOf({
    folder: 'packages/lora/src/inits',
    type: 'Init',
    from: '../init.js',
    list: (names) => [
      '/** What each layer makes by itself, by name. */',
      `export const inits: Readonly<Record<string, Init>> = { ${names.join(', ')} };`,
    ],
  });

/** @returns {import('../generate.mjs').Generated} */
export const variantIndex = () =>
  indexOf({
    folder: 'packages/lora/src/variants',
    type: 'LoraVariant',
    from: '../variant.js',
    list: (names) => [
      "/** PEFT's; a configuration asks for one by its settings. */",
      `export const variants: readonly LoraVariant[] = [${names.join(', ')}];`,
    ],
  });
