// Who may import whom: every import of packages/*/src (types too), and every manifest, against scripts/importList.json;
// no cycles.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { cyclesOf, fileOf, importsOf, packageOf, show, sourcesUnder } from './lib/imports.mjs';
import { root } from './lib/paths.mjs';

/** @param {string} folder the name of a folder in packages/ */
const npmName = (folder) => (folder === 'lowrank' ? folder : `@lowrank/${folder}`);
/** @param {string} name */
const folderOf = (name) =>
  name === 'lowrank' ? name : name.startsWith('@lowrank/') ? name.slice('@lowrank/'.length) : undefined;

/**
 * Checks one workspace.
 *
 * @param {string} workspace a folder that holds packages/
 * @param {Record<string, string[]>} list
 * @returns {string[]} one line for each violation, none when all is well
 */
export function checkImports(workspace, list) {
  const rules = new Map(Object.entries(list).map(([folder, allowed]) => [folder, new Set(allowed)]));
  const problems = [];
  const folders = readdirSync(join(workspace, 'packages')).filter((name) =>
    existsSync(join(workspace, 'packages', name, 'package.json')),
  );
  for (const folder of folders)
    if (!rules.has(folder)) problems.push(`packages/${folder}: not in the import list; add it with what it may import`);
  for (const [folder, allowed] of rules) {
    if (!folders.includes(folder)) problems.push(`the import list names packages/${folder}, which does not exist`);
    for (const target of allowed)
      if (!rules.has(target)) problems.push(`the import list lets ${folder} import ${target}, which it does not list`);
  }
  const packageGraph = new Map([...rules].map(([folder, allowed]) => [folder, [...allowed]]));
  for (const cycle of cyclesOf(packageGraph)) problems.push(`the import list has a cycle: ${cycle.join(' → ')}`);
  for (const folder of folders)
    problems.push(...checkPackage({ workspace, folder, allowed: rules.get(folder) ?? new Set() }));
  return problems;
}

/** @param {{ workspace: string, folder: string, allowed: Set<string> }} options */
function checkPackage({ workspace, folder, allowed }) {
  const home = join(workspace, 'packages', folder);
  const manifest = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'));
  const problems = [];
  if (manifest.name !== npmName(folder))
    problems.push(`packages/${folder}/package.json: name is ${manifest.name}, expected ${npmName(folder)}`);
  const shipped = { ...manifest.dependencies, ...manifest.peerDependencies };
  const declared = { ...shipped, ...manifest.devDependencies };
  for (const name of Object.keys(declared)) {
    const target = folderOf(name);
    if (target !== undefined && !allowed.has(target))
      problems.push(`packages/${folder}/package.json: depends on ${name}, which the import list does not allow`);
  }

  /** @type {Map<string, string[]>} */
  const files = new Map();
  for (const path of sourcesUnder(join(home, 'src'))) {
    const isTest = isTestFile(path);
    files.set(path, []);
    for (const entry of importsOf(path)) {
      const where = `${show(workspace, path)}:${entry.line}`;
      const target = fileOf(entry);
      if (target !== undefined) {
        files.get(path)?.push(target);
        if (!isTest && isTestFile(target)) problems.push(`${where}: ${entry.name} is for tests alone`);
        if (!target.startsWith(join(home, '')) && !(isTest && show(workspace, target).startsWith('tests/'))) {
          problems.push(`${where}: ${entry.name} leaves the package; import it by its package's name`);
        }
        continue;
      }
      const problem = checkBareImport({ entry, folder, allowed, shipped, declared, isTest });
      if (problem) problems.push(`${where}: ${problem}`);
    }
  }
  for (const cycle of cyclesOf(files))
    problems.push(`import cycle: ${cycle.map((path) => show(workspace, path)).join(' → ')}`);
  return problems;
}

/**
 * Tests, and what only they use: `foo.test.ts`, `testing.ts`, `testing/…`. They may import the root's devDependencies.
 * @param {string} path
 */
const isTestFile = (path) => /\.test\.[cm]?tsx?$|[\\/]testing(\.ts$|[\\/])/.test(path);

/** @returns {string | undefined} */
function checkBareImport({ entry, folder, allowed, shipped, declared, isTest }) {
  const name = packageOf(entry.name);
  if (name === undefined) return undefined;
  const target = folderOf(name);
  if (target !== undefined) {
    if (target === folder) return `imports its own package by name; use a relative path`;
    if (!allowed.has(target)) return `${folder} must not import ${name} (scripts/importList.json)`;
  }
  // The root holds what tests need.
  if (isTest) return undefined;
  if (name in shipped || (entry.typeOnly && (name in declared || `@types/${name}` in declared))) return undefined;
  return `${name} is no dependency in packages/${folder}/package.json`;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const list = JSON.parse(readFileSync(join(root, 'scripts/importList.json'), 'utf8'));
  const problems = checkImports(root, list);
  for (const problem of problems) console.error(problem);
  console.log(
    problems.length === 0
      ? `imports: ${Object.keys(list).length} packages follow the list, no cycles`
      : `imports: ${problems.length} problem(s)`,
  );
  process.exitCode = problems.length === 0 ? 0 : 1;
}
