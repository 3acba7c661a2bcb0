import { defineConfig } from 'tsup';
import type { Options } from 'tsup';
import { forBrowsers } from './scripts/lib/forBrowsers.mjs';

const base: Options = {
  // Without the paths to other packages' sources: what is built sees what they publish.
  tsconfig: '../../tsconfig.build.json',
  format: 'esm',
  target: 'es2022',
  clean: true,
  treeshake: true,
  // Bundlers for browsers know `node:fs` as Node's and leave it alone; without the prefix they look for a package.
  removeNodeProtocol: false,
};

// `pnpm types` has judged numeric folders with unchecked index access and the rest with checked; a build knows one.
const dts: Options['dts'] = { compilerOptions: { noUncheckedIndexedAccess: false } };

/** The build of a library that uses nothing of Node: ESM and types, nothing bundled from a dependency. */
export function library(options: Options = {}): ReturnType<typeof defineConfig> {
  return defineConfig({ ...base, entry: ['src/index.ts'], dts, ...options });
}

/**
 * The build of a library that has something of Node in it: `dist` for Node, `dist/browser` for all else. In the second
 * `x.browser.ts` stands for `x.ts`, and what is left of Node's modules is an error where it is reached.
 *
 * @param entries of both
 * @param nodeEntries that only Node has
 */
export function libraryForBoth(
  entries: Readonly<Record<string, string>> = { index: 'src/index.ts' },
  nodeEntries: Readonly<Record<string, string>> = {},
): ReturnType<typeof defineConfig> {
  return defineConfig([
    { ...base, entry: { ...entries, ...nodeEntries }, dts, clean: ['!browser/**'] },
    { ...base, entry: { ...entries }, outDir: 'dist/browser', platform: 'browser', esbuildPlugins: [forBrowsers] },
  ]);
}
