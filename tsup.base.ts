import { defineConfig } from 'tsup';
import { buildForBrowsers, versionOf } from './scripts/lib/buildForBrowsers.mjs';

/**
 * The build of a package: ESM and types, nothing bundled from a dependency. `dist` is for Node, in few files; what
 * browsers get is `dist/browser` (scripts/lib/buildForBrowsers.mjs).
 *
 * @param entries by their names in `dist`
 * @param nodeEntries that only Node has
 */
export function library(
  entries: Readonly<Record<string, string>> = { index: 'src/index.ts' },
  nodeEntries: Readonly<Record<string, string>> = {},
): ReturnType<typeof defineConfig> {
  return defineConfig({
    entry: { ...entries, ...nodeEntries },
    // Without the paths to other packages' sources: what is built sees what they publish.
    tsconfig: '../../tsconfig.build.json',
    format: 'esm',
    target: 'es2022',
    // `pnpm types` has judged numeric folders with unchecked index access and the rest with checked; a build knows one.
    dts: { compilerOptions: { noUncheckedIndexedAccess: false } },
    define: versionOf('.'),
    clean: true,
    treeshake: true,
    // Bundlers for servers know `node:fs` as Node's; without the prefix some look for a package.
    removeNodeProtocol: false,
    onSuccess: async () => {
      if (Object.keys(entries).length > 0) await buildForBrowsers(Object.values(entries));
    },
  });
}
