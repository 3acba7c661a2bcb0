import { prepareBlock } from './jaxJsBlock.mjs';

/**
 * jax-js (npm @jax-js/jax), under `jit`, as its users call it. Its Wasm backend spreads over threads only where
 * `Worker` is a global: not in Node 20.
 *
 * @param {'wasm' | 'webgpu'} device
 * @returns {Promise<{ peer: import('./index.mjs').Peer } | { reason: string }>} the reason: why it cannot be run here
 */
export async function openJaxJs(device) {
  let jax;
  try {
    jax = await import('@jax-js/jax');
  } catch (error) {
    return { reason: `npm @jax-js/jax is not installed (${firstLine(error)})` };
  }
  let ready = [];
  try {
    ready = await jax.init(device);
  } catch (error) {
    return { reason: `jax-js cannot start its ${device} backend: ${firstLine(error)}` };
  }
  if (!ready.includes(device)) return { reason: `jax-js finds no ${device} device` };
  const threads = device === 'wasm' && typeof globalThis.Worker === 'undefined' ? ', 1 thread' : '';
  const peer = {
    label: `jax-js ${device}${threads}`,
    prepareProduct: (product) => prepareProduct(jax, device, product),
    prepareBlock: (block) => prepareBlock(jax, device, block),
  };
  return { peer };
}

/** Calls handed over before waiting: a GPU is kept busy, and the results fit in memory. */
const callsAtOnce = 8;

/** @returns {Promise<import('../matmul.mjs').Prepared>} */
async function prepareProduct(jax, device, { form, a, b, shapeA, shapeB }) {
  const { numpy: np } = jax;
  const put = (values, shape) => np.array(values, { shape: [...shape], device });
  const left = a.map((values) => put(values, shapeA));
  const right = put(b, shapeB);
  const multiply = {
    NN: (x, y) => np.matmul(x, y),
    NT: (x, y) => np.matmul(x, y.transpose()),
    TN: (x, y) => np.matmul(x.transpose(), y),
  }[form];
  // jax-js counts references: `.ref` keeps an array alive that a call would take.
  const all = jax.jit((xs, y) => {
    const results = xs.map((x) => multiply(x, y.ref));
    y.dispose();
    return results;
  });
  const call = () =>
    all(
      left.map((x) => x.ref),
      right.ref,
    );
  return {
    async run(repeats) {
      for (let left = repeats; left > 0; left -= callsAtOnce) {
        // An array that is disposed of before somebody waits for it is never computed.
        const results = Array.from({ length: Math.min(left, callsAtOnce) }, call).flat();
        await jax.blockUntilReady(results);
        for (const result of results) result.dispose();
      }
    },
    async read() {
      const results = call();
      const values = [];
      for (const result of results) values.push(await result.data());
      return values;
    },
    async dispose() {
      for (const array of [...left, right]) array.dispose();
      all.dispose?.();
    },
  };
}

const firstLine = (error) => (error instanceof Error ? error.message : String(error)).split('\n')[0];
