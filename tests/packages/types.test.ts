import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, inject, test } from 'vitest';

// The types of every entry of the packed packages, libraries' own files checked too, as the compiler of 2025 and the
// one of today read them, and from CommonJS.
const tools = inject('tools');
const project = inject('project');
const home = join(project, 'node_modules');

const names = ['lowrank', ...readdirSync(join(home, '@lowrank')).map((name) => `@lowrank/${name}`)];
const entries = names.flatMap((name) => {
  const { exports } = JSON.parse(readFileSync(join(home, name, 'package.json'), 'utf8')) as { exports: object };
  return Object.keys(exports)
    .filter((entry) => !entry.endsWith('.json'))
    .map((entry) => name + entry.slice(1));
});
const asModule = entries.map((entry, at) => `export * as e${at} from '${entry}';\n`).join('');
const asCommonJs = `import lowrank = require('lowrank');
export const load: (source: string) => Promise<lowrank.Model> = lowrank.loadModel;
`;

const cases = ['5', '7'].flatMap((version) => ['bundler', 'nodenext'].map((resolution) => [version, resolution]));

test.each(cases)('TypeScript %s, moduleResolution %s', (version = '', resolution = '') => {
  expect(entries.length).toBeGreaterThan(20);
  const folder = mkdtempSync(join(project, 'types-'));
  writeFileSync(join(folder, 'index.mts'), asModule);
  writeFileSync(join(folder, 'index.cts'), asCommonJs);
  const isNode = resolution === 'nodenext';
  const compilerOptions = {
    noEmit: true,
    strict: true,
    skipLibCheck: false,
    types: [],
    target: 'es2022',
    lib: ['es2023', 'dom', 'dom.iterable', 'esnext.disposable'],
    module: isNode ? 'nodenext' : 'esnext',
    moduleResolution: resolution,
  };
  const files = isNode ? ['index.mts', 'index.cts'] : ['index.mts'];
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }));
  const compiler = join(tools, 'node_modules', `typescript-${version}`, 'bin/tsc');
  const { stdout } = spawnSync(process.execPath, [compiler, '-p', folder], { encoding: 'utf8' });
  expect(stdout).toBe('');
});
