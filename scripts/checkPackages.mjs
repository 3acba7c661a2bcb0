// Packs every package as a release would, and checks the tarballs: publint (strict), are-the-types-wrong (ESM only),
// what they hold, and that Node can import them with nothing of the workspace at hand. Wants `pnpm build` first.
// Arguments: folders in packages/ (all).
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { root } from './lib/paths.mjs';
import { run } from './lib/process.mjs';
import { packageFolders, runPnpm } from './lib/workspace.mjs';

const asked = process.argv.slice(2);
const folders = packageFolders().filter((folder) => asked.length === 0 || asked.includes(basename(folder)));
const work = mkdtempSync(join(tmpdir(), 'packages-'));
const problems = [];

/** @param {string} name */
const bin = (name) => join(root, 'node_modules/.bin', name);

/** Packs all packages at once. */
async function packAll() {
  const target = join(work, 'tarballs');
  mkdirSync(target, { recursive: true });
  const { code, output } = await runPnpm(
    ['--recursive', '--filter', './packages/*', 'pack', '--pack-destination', target],
    { quiet: true },
  );
  if (code !== 0) throw new Error(`pnpm pack failed with exit code ${code}\n${output}`);
  return target;
}

/** @param {string} tarballs @param {string} folder */
function tarballOf(tarballs, folder) {
  const { name, version } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
  return join(tarballs, `${name.replace('@', '').replace('/', '-')}-${version}.tgz`);
}

/**
 * What users get, unpacked where Node finds it, with third-party dependencies linked beside. @param {string} folder
 * @param {string} tarball
 */
function unpack(folder, tarball) {
  const { name } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
  const home = join(work, 'node_modules', name);
  mkdirSync(home, { recursive: true });
  const { status } = spawnSync('tar', ['-xzf', tarball, '--strip-components=1', '-C', home]);
  if (status !== 0) problems.push(`${folder}: its tarball cannot be unpacked`);
  const manifest = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'));
  for (const dependency of Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })) {
    const link = join(work, 'node_modules', dependency);
    if (dependency === 'lowrank' || dependency.startsWith('@lowrank/') || existsSync(link)) continue;
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(realpathSync(join(root, folder, 'node_modules', dependency)), link);
  }
  return { home, manifest };
}

/** @param {string} folder @param {string} home @param {Record<string, unknown>} manifest */
function checkContents(folder, home, manifest) {
  for (const name of ['README.md', 'LICENSE'])
    if (!existsSync(join(home, name))) problems.push(`${folder}: the tarball has no ${name}`);
  const papers = ['dist', 'package.json', 'README.md', 'LICENSE'];
  // A file that is exported as it is, such as a schema.
  const exported = (/** @type {string} */ name) => Object.hasOwn(/** @type {object} */ (manifest.exports), `./${name}`);
  const extra = readdirSync(home).filter((name) => !papers.includes(name) && !exported(name));
  if (extra.length > 0)
    problems.push(`${folder}: the tarball holds ${extra.join(', ')}; expected dist, papers and what is exported`);
  const tests = readdirSync(join(home, 'dist'), { recursive: true }).filter((name) => /\.test\./.test(String(name)));
  if (tests.length > 0) problems.push(`${folder}: tests are packed: ${tests.join(', ')}`);
  // A worker's file does its work when it is loaded; bundlers drop everything else that is not used.
  const workers = Array.isArray(manifest.sideEffects) ? manifest.sideEffects : [];
  const odd = workers.filter((path) => !path.endsWith('Thread.js') || !existsSync(join(home, path)));
  if (odd.length > 0) problems.push(`${folder}: sideEffects holds ${odd.join(', ')}, expected files of workers`);
  const sideEffects = workers.length > 0 ? manifest.sideEffects : false;
  const expected = { type: 'module', license: 'Apache-2.0', sideEffects };
  for (const [key, value] of Object.entries(expected))
    if (manifest[key] !== value) problems.push(`${folder}: ${key} is ${manifest[key]}, expected ${value}`);
  if (manifest.repository?.directory !== folder)
    problems.push(`${folder}: repository.directory is ${manifest.repository?.directory}`);
  if (!manifest.engines?.node) problems.push(`${folder}: no engines.node`);
  const entries = Object.entries(manifest.exports ?? {}).filter(([, target]) => typeof target === 'object');
  for (const [key, target] of entries)
    if (Object.keys(target)[0] !== 'types') problems.push(`${folder}: exports["${key}"] does not begin with types`);
  const leaks = JSON.stringify([manifest.dependencies, manifest.peerDependencies]).match(/workspace:|catalog:/);
  if (leaks) problems.push(`${folder}: ${leaks[0]} is left in the packed manifest`);
}

const packed = [];
const tarballs = await packAll();
for (const folder of folders) {
  if (!existsSync(join(root, folder, 'dist'))) {
    problems.push(`${folder}: no dist; run pnpm build first`);
    continue;
  }
  const tarball = tarballOf(tarballs, folder);
  const [publint, attw] = await Promise.all([
    run(bin('publint'), ['run', tarball, '--strict'], { quiet: true }),
    run(bin('attw'), [tarball, '--profile', 'esm-only', '--no-color', '--no-emoji', '--format', 'ascii'], {
      quiet: true,
    }),
  ]);
  if (publint.code !== 0) problems.push(`${folder}: publint\n${publint.output}`);
  if (attw.code !== 0) problems.push(`${folder}: are the types wrong\n${attw.output}`);
  const { home, manifest } = unpack(folder, tarball);
  checkContents(folder, home, manifest);
  packed.push(manifest);
  console.log(`${manifest.name}: packed`);
}
// A part of the packages cannot be imported without the rest.
if (asked.length === 0) {
  for (const manifest of packed) {
    for (const key of Object.keys(manifest.exports).filter((name) => !name.endsWith('.json'))) {
      const specifier = join(manifest.name, key).replaceAll('\\', '/');
      const imported = await run(
        process.execPath,
        ['--input-type=module', '-e', `await import(${JSON.stringify(specifier)})`],
        { quiet: true, cwd: work },
      );
      if (imported.code !== 0) problems.push(`${specifier}: Node cannot import the packed package\n${imported.output}`);
    }
  }
}
rmSync(work, { recursive: true, force: true });
for (const problem of problems) console.error(problem);
console.log(
  problems.length === 0 ? `packages: ${packed.length} packed and sound` : `packages: ${problems.length} problem(s)`,
);
process.exitCode = problems.length === 0 ? 0 : 1;
