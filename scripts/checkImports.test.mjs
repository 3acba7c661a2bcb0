import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { checkImports } from './checkImports.mjs';
import { root } from './lib/paths.mjs';

const made = [];
afterEach(() => made.splice(0).forEach((folder) => rmSync(folder, { recursive: true })));

/** A workspace of three packages, a → b → c, plus or instead what a test says. */
function workspace(files = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'imports-'));
  made.push(folder);
  const manifest = (name, dependencies = {}) => JSON.stringify({ name: `@lowrank/${name}`, dependencies });
  const all = {
    'packages/a/package.json': manifest('a', { '@lowrank/b': 'workspace:*' }),
    'packages/a/src/index.ts': "import { b } from '@lowrank/b';\nexport const a = b;\n",
    'packages/b/package.json': manifest('b', { '@lowrank/c': 'workspace:*', zod: '1' }),
    'packages/b/src/index.ts':
      "import type { C } from '@lowrank/c';\nimport { z } from 'zod';\nexport const b: C = z;\n",
    'packages/c/package.json': manifest('c'),
    'packages/c/src/index.ts':
      "export { c } from './c.js';\nimport { readFile } from 'node:fs/promises';\nexport type C = typeof readFile;\n",
    'packages/c/src/c.ts': '// import { a } from "@lowrank/a";\nexport const c = "import x from \'@lowrank/a\'";\n',
    ...files,
  };
  for (const [name, text] of Object.entries(all)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}
const list = { a: ['b'], b: ['c'], c: [] };

test('a workspace that follows its list has no problems; comments and strings are no imports', () => {
  expect(checkImports(workspace(), list)).toEqual([]);
});

const offences = [
  ['a value import', "import { a } from '@lowrank/a';", 'c must not import @lowrank/a'],
  ['a type import', "import type { A } from '@lowrank/a';", 'c must not import @lowrank/a'],
  ['an inline type import', "import { type A } from '@lowrank/a';", 'c must not import @lowrank/a'],
  ['a side-effect import', "import '@lowrank/a';", 'c must not import @lowrank/a'],
  ['a re-export', "export * from '@lowrank/a';", 'c must not import @lowrank/a'],
  ['an import()', "export const late = () => import('@lowrank/a');", 'c must not import @lowrank/a'],
  ['an import type', "export type A = import('@lowrank/a').A;", 'c must not import @lowrank/a'],
  ['a subpath', "import { k } from '@lowrank/a/webgpu';", 'c must not import @lowrank/a'],
  ['the command line package', "import 'lowrank';", 'c must not import lowrank'],
  ['its own name', "import { c } from '@lowrank/c';", 'imports its own package by name'],
  ['a way around by path', "import { a } from '../../a/src/index.js';", 'leaves the package'],
  ['an undeclared dependency', "import { z } from 'zod';", 'zod is no dependency'],
];
test.each(offences)('%s against the list is found', (_what, code, message) => {
  const problems = checkImports(workspace({ 'packages/c/src/bad.ts': `// a line before\n${code}\n` }), list);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toContain('packages/c/src/bad.ts:2: ');
  expect(problems[0]).toContain(message);
});

test('an import in a test file counts too', () => {
  const problems = checkImports(workspace({ 'packages/c/src/c.test.ts': "import { a } from '@lowrank/a';\n" }), list);
  expect(problems).toEqual(['packages/c/src/c.test.ts:1: c must not import @lowrank/a (scripts/importList.json)']);
});

test('helpers of tests may import what tests may, and nothing that ships may import them', () => {
  const helper = { 'packages/c/src/testing.ts': "import { vi } from 'vitest';\nexport const helper = vi;\n" };
  expect(checkImports(workspace(helper), list)).toEqual([]);
  const problems = checkImports(
    workspace({ ...helper, 'packages/c/src/ships.ts': "import { helper } from './testing.js';\n" }),
    list,
  );
  expect(problems).toEqual(['packages/c/src/ships.ts:1: ./testing.js is for tests alone']);
});

test('a dependency against the list is found in the manifest', () => {
  const manifest = JSON.stringify({ name: '@lowrank/c', devDependencies: { '@lowrank/a': 'workspace:*' } });
  expect(checkImports(workspace({ 'packages/c/package.json': manifest }), list)).toEqual([
    'packages/c/package.json: depends on @lowrank/a, which the import list does not allow',
  ]);
});

test('cycles between files are found, of types too, and between packages', () => {
  const files = {
    'packages/c/src/x.ts': "import type { Y } from './y.js';\nexport type X = Y;\n",
    'packages/c/src/y.ts': "import { z } from './z.js';\nexport type Y = typeof z;\n",
    'packages/c/src/z.ts': "import './x.js';\nexport const z = 1;\n",
    'packages/c/src/self.ts': "import './self.js';\n",
  };
  expect(checkImports(workspace(files), list)).toEqual([
    'import cycle: packages/c/src/self.ts → packages/c/src/self.ts',
    'import cycle: packages/c/src/x.ts → packages/c/src/y.ts → packages/c/src/z.ts → packages/c/src/x.ts',
  ]);
  expect(checkImports(workspace(), { ...list, c: ['a'] })).toEqual(['the import list has a cycle: a → b → c → a']);
});

test('a package that is not listed, and a listed one that is not there, are found', () => {
  const problems = checkImports(workspace({ 'packages/d/package.json': '{"name":"@lowrank/d"}' }), { ...list, e: [] });
  expect(problems).toEqual([
    'packages/d: not in the import list; add it with what it may import',
    'the import list names packages/e, which does not exist',
  ]);
});

test('a wrong package name is found', () => {
  expect(checkImports(workspace({ 'packages/c/package.json': '{"name":"c"}' }), list)).toEqual([
    'packages/c/package.json: name is c, expected @lowrank/c',
  ]);
});

test("the project's own list keeps the borders that the design asks for", () => {
  const own = JSON.parse(readFileSync(join(root, 'scripts/importList.json'), 'utf8'));
  expect(own.errors).toEqual([]);
  for (const forbidden of ['lora', 'patch', 'models', 'cpu', 'webgpu']) expect(own.trainer).not.toContain(forbidden);
  expect(own.models).not.toContain('lora');
  expect(own.lora).not.toContain('models');
  const choosers = Object.keys(own).filter((name) =>
    own[name].some((target) => ['cpu', 'webgpu', 'lowrank'].includes(target)),
  );
  expect(choosers).toEqual(['lowrank']);
});
