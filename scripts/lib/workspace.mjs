import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cache, root } from './paths.mjs';
import { run, seconds } from './process.mjs';

/** pnpm through npx, in the version that package.json pins, so that Node and npm are all a clone needs. */
const pnpm = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).packageManager;

/**
 * @param {string[]} args
 * @param {{ quiet?: boolean }} [options]
 */
export function runPnpm(args, options = {}) {
  return run('npx', ['-y', pnpm, ...args], {
    ...options,
    env: { TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1', npm_config_update_notifier: 'false' },
  });
}

/** The folders of all packages, as paths relative to the root. */
export function packageFolders() {
  return readdirSync(join(root, 'packages'))
    .map((name) => `packages/${name}`)
    .filter((folder) => existsSync(join(root, folder, 'package.json')))
    .sort();
}

/** Everything that decides what an installation holds. */
function manifestsHash() {
  const hash = createHash('sha256').update(root);
  const folders = ['.', ...['packages', 'examples'].flatMap(listFolders), 'bench', 'docs'];
  for (const name of ['pnpm-lock.yaml', 'pnpm-workspace.yaml', ...folders.map((f) => join(f, 'package.json'))]) {
    const path = join(root, name);
    if (existsSync(path)) hash.update(name).update(readFileSync(path));
  }
  return hash.digest('hex');
}

/** @param {string} parent */
function listFolders(parent) {
  const path = join(root, parent);
  return existsSync(path)
    ? readdirSync(path)
        .sort()
        .map((name) => join(parent, name))
    : [];
}

/**
 * Installs the dependencies unless the last installation was of the same manifests.
 *
 * @param {{ quiet?: boolean, log?: (line: string) => void }} [options]
 * @throws {Error} when pnpm fails, with its output
 */
export async function install(options = {}) {
  const log = options.log ?? console.log;
  const stamp = join(cache, 'installed');
  const hash = manifestsHash();
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return;
  const started = Date.now();
  log('installing dependencies …');
  const lock = existsSync(join(root, 'pnpm-lock.yaml')) ? ['--frozen-lockfile'] : [];
  const { code, output } = await runPnpm(['install', ...lock, '--prefer-offline'], options);
  if (code !== 0) throw new Error(`pnpm install failed with exit code ${code}\n${output}`);
  mkdirSync(cache, { recursive: true });
  writeFileSync(stamp, hash);
  log(`installed in ${seconds(started)}`);
}

/**
 * Builds every package (turbo skips those that did not change).
 *
 * @param {{ quiet?: boolean, log?: (line: string) => void }} [options]
 * @throws {Error} when a build fails, with its output
 */
export async function build(options = {}) {
  const log = options.log ?? console.log;
  const started = Date.now();
  log('building packages …');
  const { code, output } = await runPnpm(
    ['exec', 'turbo', 'run', 'build', '--filter=./packages/*', '--output-logs=errors-only'],
    options,
  );
  if (code !== 0) throw new Error(`the build failed with exit code ${code}\n${output}`);
  log(`built in ${seconds(started)}`);
}
