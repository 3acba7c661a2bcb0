/**
 * Bundles a benchmark's TypeScript with the packages' sources, so that no build is needed, and runs it in this process.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'vite';

const packages = fileURLToPath(new URL('../..', import.meta.url));

export async function runBundled(entry) {
  const result = await build({
    root: fileURLToPath(new URL('..', import.meta.url)),
    configFile: false,
    logLevel: 'error',
    resolve: {
      alias: {
        '@lowrank/tensor/op': `${packages}tensor/src/entries/op.ts`,
        '@lowrank/tensor/backend': `${packages}tensor/src/entries/backend.ts`,
        '@lowrank/tensor': `${packages}tensor/src/index.ts`,
        '@lowrank/errors': `${packages}errors/src/index.ts`,
      },
    },
    build: {
      write: false,
      target: 'es2022',
      minify: false,
      lib: { entry: fileURLToPath(entry), formats: ['es'], fileName: 'bench' },
      rolldownOptions: { external: [/^node:/] },
    },
  });
  const chunk = [result]
    .flat()
    .flatMap(({ output }) => output)
    .find(({ type }) => type === 'chunk');
  const folder = await mkdtemp(join(tmpdir(), 'lowrank-bench-'));
  try {
    const file = join(folder, 'bench.mjs');
    await writeFile(file, chunk.code);
    return await import(pathToFileURL(file).href);
  } finally {
    await rm(folder, { recursive: true });
  }
}
