// What a page made from the packages loads before it does anything: the entry of a Vite build and what that imports
// statically, gzipped file by file. Parts that load when they are used do not count.
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';
import { root } from './lib/paths.mjs';

/** A page that trains on the GPU and saves, from the packages: examples/node/fineTune.mjs with picked files. */
const trains = `
import { readDataset, readTokenizer, trainingBatches } from '@lowrank/data';
import { loraConfig, serializeAdapter } from '@lowrank/lora';
import { loadCausalModel, openFolder } from '@lowrank/models';
import { addAdapter, saveAdapter } from '@lowrank/patch';
import { train } from '@lowrank/trainer';
import { createWebgpuBackend } from '@lowrank/webgpu';

globalThis.fineTune = async (folder, data, onEvent) => {
  const backend = await createWebgpuBackend();
  const { rows } = await readDataset(data, await readTokenizer(folder));
  const model = await loadCausalModel(await openFolder(folder));
  const { parameters } = await addAdapter(model, loraConfig({ targetModules: 'all-linear' }), { seed: 1 });
  await train({
    createSession: () => ({ backend, loss: (batch) => model.loss(batch), parameters }),
    batches: trainingBatches(rows, { batchSize: 4, seed: 1 }),
    steps: 100,
    learningRate: 1e-3,
    onEvent,
  });
  return serializeAdapter(await saveAdapter(model));
};
`;

/** The same with the reader of tokenizers, which otherwise loads when a model is opened. */
const tokenizes = `${trains} import { loadTokenizer } from '@lowrank/data'; globalThis.loadTokenizer = loadTokenizer;`;

/** @type {Readonly<Record<string, string>>} sources of the measured pages, by name */
export const pages = {
  'a page that trains': trains,
  'with its tokenizer': tokenizes,
  loraConfig: `import { loraConfig } from '@lowrank/lora'; globalThis.loraConfig = loraConfig;`,
  'lowrank/worker': `import { startTrainer } from 'lowrank/worker'; globalThis.startTrainer = startTrainer;`,
  lowrank: `import { fineTune, loadModel } from 'lowrank'; Object.assign(globalThis, { fineTune, loadModel });`,
};

/** `lowrank` itself is installed in an example only. */
const importers = { lowrank: 'examples/web/package.json', others: 'packages/lowrank/package.json' };

/**
 * @param {string} source of a page
 * @returns {Promise<{ bytes: number, modules: Record<string, number> }>} gzipped bytes of the first load, and the
 * characters of each module in it before gzip
 */
export async function firstLoadOf(source) {
  const result = await build({
    configFile: false,
    root,
    logLevel: 'silent',
    plugins: [
      {
        name: 'page',
        enforce: 'pre',
        resolveId(id, from) {
          if (id === 'virtual:page') return id;
          if (from !== 'virtual:page') return undefined;
          const importer = id.startsWith('@') ? importers.others : importers.lowrank;
          return this.resolve(id, join(root, importer), { skipSelf: true });
        },
        load: (id) => (id === 'virtual:page' ? source : undefined),
      },
    ],
    build: { write: false, target: 'es2022', modulePreload: false, rolldownOptions: { input: 'virtual:page' } },
    worker: { format: 'es' },
  });
  if (Array.isArray(result) || !('output' in result)) throw new Error('Vite built something else than one page');
  const chunks = new Map(result.output.flatMap((file) => (file.type === 'chunk' ? [[file.fileName, file]] : [])));
  const entry = [...chunks.values()].find((chunk) => chunk.isEntry);
  if (entry === undefined) throw new Error('Vite built no entry');
  const first = new Set([entry]);
  // A set goes on to what is added while it is walked.
  for (const chunk of first)
    for (const name of chunk.imports) {
      const imported = chunks.get(name);
      if (imported === undefined) throw new Error(`the page imports ${name}, which is not in the build`);
      first.add(imported);
    }
  /** @type {Record<string, number>} */
  const modules = {};
  let bytes = 0;
  for (const chunk of first) {
    bytes += gzipSync(chunk.code).length;
    for (const [id, { renderedLength }] of Object.entries(chunk.modules)) modules[id] = renderedLength;
  }
  return { bytes, modules };
}
