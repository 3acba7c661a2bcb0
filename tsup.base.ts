import { defineConfig } from 'tsup';
import type { Options } from 'tsup';

/** The build that every library package shares: ESM and types, nothing bundled from a dependency. */
export function library(options: Options = {}): ReturnType<typeof defineConfig> {
  return defineConfig({
    entry: ['src/index.ts'],
    // Without the paths to other packages' sources: what is built sees what they publish.
    tsconfig: '../../tsconfig.build.json',
    format: 'esm',
    target: 'es2022',
    // `pnpm types` has judged numeric folders with unchecked index access and the rest with checked; a build knows one.
    dts: { compilerOptions: { noUncheckedIndexedAccess: false } },
    sourcemap: true,
    clean: true,
    treeshake: true,
    // Bundlers for browsers know `node:fs` as Node's and leave it alone; without the prefix they look for a package.
    removeNodeProtocol: false,
    ...options,
  });
}
