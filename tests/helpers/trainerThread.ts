import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { build } from 'vite';
import { packageAlias } from '../../scripts/lib/packageAlias.mjs';
import { root } from '../../scripts/lib/paths.mjs';

/** The worker's file, bundled from the sources: a thread of Node takes no TypeScript. */
export interface BuiltThread extends Disposable {
  readonly file: string;
  readonly worker: () => Worker;
  /** The workers that were made, for tests that end one. */
  readonly workers: readonly Worker[];
}

export async function buildThread(): Promise<BuiltThread> {
  // Where the decoders of images that @lowrank/data depends on find their WebAssembly.
  const cache = join(root, 'packages/data/node_modules/.cache');
  mkdirSync(cache, { recursive: true });
  const outDir = mkdtempSync(join(cache, 'trainer-thread-'));
  await build({
    configFile: false,
    logLevel: 'error',
    resolve: { alias: packageAlias('src') },
    build: {
      ssr: join(root, 'packages/lowrank/src/worker/trainerThread.ts'),
      outDir,
      minify: false,
      rolldownOptions: { output: { entryFileNames: 'trainerThread.mjs' } },
    },
    ssr: { noExternal: true, external: ['webgpu'] },
  });
  const workers: Worker[] = [];
  const file = join(outDir, 'trainerThread.mjs');
  return {
    file,
    workers,
    worker() {
      const worker = new Worker(file);
      workers.push(worker);
      return worker;
    },
    [Symbol.dispose]: () => rmSync(outDir, { recursive: true, force: true }),
  };
}
