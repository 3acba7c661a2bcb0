import { Rng } from '@lowrank/tensor';

/** The Llama of one block that Lowrank and its peers train (block.mjs): its numbers, and what all derive of them. */

/** SmolLM2-135M's widths over a small vocabulary, so that the block is most of the step. */
const model = {
  hidden: 576,
  intermediate: 1536,
  heads: 9,
  keyHeads: 3,
  vocabulary: 512,
  epsilon: 1e-5,
  theta: 10_000,
  r: 8,
  alpha: 16,
};
export const blockCases = [
  { name: '1×128', batch: 1, length: 128 },
  { name: '4×256', batch: 4, length: 256 },
];
export const adam = { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };

/**
 * @typedef {object} Block what everybody computes with
 * @property {typeof model} model
 * @property {number} batch
 * @property {number} length
 * @property {Int32Array} ids [batch · length]
 * @property {Record<string, { shape: number[], data: Float32Array }>} weights frozen, by Hugging Face's names without
 * `model.` and `.weight`
 * @property {Record<string, { shape: number[], data: Float32Array }>} adapters trained: `q_proj.A` [r, in], `q_proj.B`
 * [out, r], …
 *
 * @typedef {object} PreparedBlock
 * @property {() => Promise<{ loss: number, gradients: Record<string, ArrayLike<number>> }>} gradients of the mean
 * cross-entropy, by the adapters' names
 * @property {() => Promise<number>} step one update; the loss before it
 * @property {() => Promise<void>} dispose
 */

/** @param {{ batch: number, length: number }} shape @returns {Block} */
export function makeBlock({ batch, length }) {
  const { hidden, intermediate, heads, keyHeads, vocabulary, r } = model;
  const headSize = hidden / heads;
  const rng = new Rng(1);
  const random = (shape, deviation, mean = 0) => ({
    shape,
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => mean + deviation * rng.normal()),
  });
  const linears = {
    q_proj: [hidden, hidden],
    k_proj: [keyHeads * headSize, hidden],
    v_proj: [keyHeads * headSize, hidden],
    o_proj: [hidden, hidden],
    gate_proj: [intermediate, hidden],
    up_proj: [intermediate, hidden],
    down_proj: [hidden, intermediate],
  };
  const entries = Object.entries(linears);
  return {
    model,
    batch,
    length,
    ids: Int32Array.from({ length: batch * length }, () => rng.integer(vocabulary)),
    weights: {
      embed_tokens: random([vocabulary, hidden], 1),
      input_layernorm: random([hidden], 0.1, 1),
      post_attention_layernorm: random([hidden], 0.1, 1),
      norm: random([hidden], 0.1, 1),
      lm_head: random([vocabulary, hidden], 1 / Math.sqrt(hidden)),
      ...Object.fromEntries(entries.map(([name, [out, from]]) => [name, random([out, from], 1 / Math.sqrt(from))])),
    },
    adapters: Object.fromEntries(
      entries.flatMap(([name, [out, from]]) => [
        [`${name}.A`, random([r, from], 1 / Math.sqrt(from))],
        [`${name}.B`, random([out, r], 0.1)],
      ]),
    ),
  };
}

/** Labels of the positions: the next token, none at the end of a row. */
export function labelsOf({ ids, length }) {
  return ids.map((_, at) => (at % length === length - 1 ? -1 : (ids[at + 1] ?? -1)));
}

/** cos and sin [length, headSize / 2] of the angles of rope. */
export function rotaryTables({ model: { hidden, heads, theta }, length }) {
  const half = hidden / heads / 2;
  const angles = Array.from(
    { length: length * half },
    (_, at) => Math.floor(at / half) * theta ** (-(at % half) / half),
  );
  return { half, cos: Float32Array.from(angles, Math.cos), sin: Float32Array.from(angles, Math.sin) };
}
