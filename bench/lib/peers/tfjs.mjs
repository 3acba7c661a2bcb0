import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { cache } from '../../../scripts/lib/paths.mjs';
import { prepareBlock } from './tfjsBlock.mjs';

/**
 * TensorFlow.js (npm @tensorflow/tfjs-core and its backend tfjs-backend-webgpu), as its users call it. The backend
 * registers itself where `navigator.gpu` is there when it is imported, and runs on Dawn as it is.
 *
 * @returns {Promise<{ peer: import('./index.mjs').Peer } | { reason: string }>} the reason: why it cannot be run here
 */
export async function openTfjs() {
  let tf;
  try {
    tf = await importTfjs();
  } catch (error) {
    return { reason: `npm @tensorflow/tfjs-core cannot be imported (${firstLine(error)})` };
  }
  try {
    if (!(await tf.setBackend('webgpu'))) return { reason: 'TensorFlow.js cannot start its webgpu backend' };
    await tf.ready();
  } catch (error) {
    return { reason: `TensorFlow.js cannot start its webgpu backend: ${firstLine(error)}` };
  }
  const peer = {
    label: 'TensorFlow.js webgpu',
    prepareProduct: (product) => prepareProduct(tf, product),
    prepareBlock: (block) => prepareBlock(tf, block),
  };
  return { peer };
}

/**
 * Bundled, as for a page: Node resolves the imports within its ES modules no more than the gradients in its CommonJS
 * bundles, which leave them out.
 */
async function importTfjs() {
  mkdirSync(cache, { recursive: true });
  const outfile = join(cache, 'tfjs.cjs');
  const modules = ['tfjs-core', 'tfjs-core/dist/register_all_gradients', 'tfjs-backend-webgpu'];
  await build({
    stdin: {
      contents: modules.map((name) => `export * from '@tensorflow/${name}';`).join('\n'),
      resolveDir: fileURLToPath(new URL('../..', import.meta.url)),
    },
    bundle: true,
    platform: 'node',
    format: 'cjs',
    mainFields: ['module', 'main'],
    logLevel: 'silent',
    outfile,
  });
  return createRequire(import.meta.url)(outfile);
}

/** Submits what is recorded, and waits for it. */
async function finish(tf) {
  const backend = tf.backend();
  backend.endComputePassEncoder();
  if (backend.commandEncoder !== null) backend.submitQueue();
  await backend.queue.onSubmittedWorkDone();
}

/** @returns {Promise<import('../matmul.mjs').Prepared>} */
async function prepareProduct(tf, { form, a, b, shapeA, shapeB }) {
  const left = a.map((values) => tf.tensor(values, shapeA));
  const right = tf.tensor(b, shapeB);
  const multiply = (x) => tf.matMul(x, right, form === 'TN', form === 'NT');
  return {
    async run(repeats) {
      for (let i = 0; i < repeats; i++) for (const x of left) multiply(x).dispose();
      await finish(tf);
    },
    async read() {
      const values = [];
      for (const x of left) {
        const result = multiply(x);
        values.push(await result.data());
        result.dispose();
      }
      return values;
    },
    async dispose() {
      for (const tensor of [...left, right]) tensor.dispose();
    },
  };
}

const firstLine = (error) => (error instanceof Error ? error.message : String(error)).split('\n')[0];
