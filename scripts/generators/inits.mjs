// The list of LoRA's initializations, from the files in packages/lora/src/inits.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../lib/paths.mjs';

const folder = 'packages/lora/src/inits';

/** An init's file and export have one name; other files of the folder are tools. */
function initNames() {
  return readdirSync(join(root, folder))
    .filter((name) => /^\w+\.ts$/.test(name))
    .map((name) => name.replace(/\.ts$/, ''))
    .filter((name) =>
      new RegExp(`^export const ${name}: Init\\b`, 'm').test(readFileSync(join(root, folder, `${name}.ts`), 'utf8')),
    )
    .sort();
}

/** @returns {import('../generate.mjs').Generated} */
export function initIndex() {
  const names = initNames();
  return {
    path: `${folder}/index.ts`,
    text: [
      '// Generated from the files of this folder by scripts/generate.mjs.',
      "import type { Init } from '../init.js';",
      ...names.map((name) => `import { ${name} } from './${name}.js';`),
      '',
      '/** What each layer makes by itself, by name. */',
      `export const inits: Readonly<Record<string, Init>> = { ${names.join(', ')} };`,
      '',
    ].join('\n'),
  };
}
