import { openJaxJs } from './jaxJs.mjs';
import { openTfjs } from './tfjs.mjs';

/**
 * A library that does the same on the same device.
 *
 * @typedef {import('../blockModel.mjs').Block} Block
 *
 * @typedef {object} Peer
 * @property {string} label
 * @property {(product: import('../matmul.mjs').Product) => Promise<import('../matmul.mjs').Prepared>} prepareProduct
 * @property {(block: Block) => Promise<import('../blockModel.mjs').PreparedBlock>} prepareBlock
 */

/** Peers take one WebGPU adapter in a process: the first that they were opened on. */
let adapter;

/**
 * @param {import('../devices.mjs').Device} device
 * @returns {Promise<{ peers: Peer[], notRun: { what: string, reason: string }[] }>} those that run on the device
 */
export async function openPeers({ id, kind }) {
  if (kind === 'webgpu') {
    adapter ??= id;
    if (adapter !== id)
      return { peers: [], notRun: [{ what: `peers on ${id}`, reason: `they take one WebGPU adapter: ${adapter}` }] };
  }
  const openers =
    kind === 'cpu'
      ? { 'jax-js wasm': () => openJaxJs('wasm') }
      : { 'jax-js webgpu': () => openJaxJs('webgpu'), 'TensorFlow.js webgpu': openTfjs };
  const peers = [];
  const notRun = [];
  for (const [name, open] of Object.entries(openers)) {
    const { peer, reason } = await open();
    if (peer === undefined) notRun.push({ what: `${name} on ${id}`, reason });
    else peers.push(peer);
  }
  return { peers, notRun };
}
