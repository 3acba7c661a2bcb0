// Before the tests of the packed packages: the bundlers installed, every package packed, and the tarballs installed
// into an empty project. Wants a build.
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from '../../scripts/lib/paths.mjs';
import { run } from '../../scripts/lib/process.mjs';
import { packageFolders, runPnpm } from '../../scripts/lib/workspace.mjs';

const home = join(root, 'tests/packages');
const npmOptions = ['--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline', '--loglevel=error'];

/** @param {string[]} args @param {string} cwd */
async function npm(args, cwd) {
  const { code, output } = await run('npm', [...args, ...npmOptions], { quiet: true, cwd });
  if (code !== 0) throw new Error(`npm ${args[0]} in ${cwd} failed with exit code ${code}\n${output}`);
}

/**
 * The bundlers, outside the checkout, whose tsconfig.json leads to sources. They stay for later runs of the same list.
 *
 * @returns {Promise<string>} a folder whose node_modules holds them
 */
async function installTools() {
  const lock = readFileSync(join(home, 'package-lock.json'));
  const tools = join(tmpdir(), `lowrank-bundlers-${createHash('sha256').update(lock).digest('hex').slice(0, 12)}`);
  if (existsSync(join(tools, 'installed'))) return tools;
  rmSync(tools, { recursive: true, force: true });
  mkdirSync(tools);
  for (const name of ['package.json', 'package-lock.json']) cpSync(join(home, name), join(tools, name));
  await npm(['ci'], tools);
  writeFileSync(join(tools, 'installed'), '');
  return tools;
}

/** @param {string} project */
async function packInto(project) {
  const missing = packageFolders().filter((folder) => !existsSync(join(root, folder, 'dist')));
  if (missing.length > 0) throw new Error(`not built: ${missing.join(', ')}; run pnpm build first`);
  const tarballs = join(project, 'tarballs');
  mkdirSync(tarballs);
  const { code, output } = await runPnpm(
    ['--recursive', '--filter', './packages/*', 'pack', '--pack-destination', tarballs],
    { quiet: true },
  );
  if (code !== 0) throw new Error(`pnpm pack failed with exit code ${code}\n${output}`);
  return readdirSync(tarballs).map((name) => `./tarballs/${name}`);
}

/** @param {import('vitest/node').TestProject} vitest */
export async function setup(vitest) {
  const tools = await installTools();
  const project = mkdtempSync(join(tools, 'project-'));
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'empty', private: true }));
  const tarballs = await packInto(project);
  await npm(['install', ...tarballs], project);
  vitest.provide('tools', tools);
  vitest.provide('project', project);
  return () => rmSync(project, { recursive: true, force: true });
}
