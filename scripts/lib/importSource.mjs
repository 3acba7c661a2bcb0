// TypeScript sources of the workspace, imported by scripts without a build.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { runnerImport } from 'vite';
import { root } from './paths.mjs';

/**
 * The exports of a module below the root, packages resolved to their sources.
 *
 * @param {string} path
 * @returns {Promise<any>}
 */
export async function importSource(path) {
  const alias = readdirSync(join(root, 'packages')).map((name) => ({
    find: new RegExp(`^${name === 'lowrank' ? name : `@lowrank/${name}`}$`),
    replacement: join(root, 'packages', name, 'src/index.ts'),
  }));
  const { module } = await runnerImport(join(root, path), {
    root,
    configFile: false,
    logLevel: 'error',
    resolve: { alias },
  });
  return module;
}
