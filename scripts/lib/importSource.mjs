// TypeScript sources of the workspace, imported by scripts without a build.
import { join } from 'node:path';
import { runnerImport } from 'vite';
import { packageAlias } from './packageAlias.mjs';
import { root } from './paths.mjs';

/**
 * The exports of a module below the root, packages resolved to their sources.
 *
 * @param {string} path
 * @returns {Promise<any>}
 */
export async function importSource(path) {
  const { module } = await runnerImport(join(root, path), {
    root,
    configFile: false,
    logLevel: 'error',
    resolve: { alias: packageAlias('src') },
  });
  return module;
}
