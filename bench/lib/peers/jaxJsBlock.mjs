import { adam, labelsOf, rotaryTables } from '../blockModel.mjs';

/**
 * The step of block.mjs in jax-js: one function under `jit`, which differentiates and updates. jax-js has no optimizer
 * of its own on npm, so Adam is written here.
 *
 * jax-js counts references: `.ref` keeps an array alive that a call would take.
 *
 * @param {typeof import('@jax-js/jax')} jax
 * @param {'wasm' | 'webgpu'} device
 * @param {import('../blockModel.mjs').Block} block
 * @returns {Promise<import('../blockModel.mjs').PreparedBlock>}
 */
export async function prepareBlock(jax, device, block) {
  const { numpy: np, tree } = jax;
  const put = (data, shape) => np.array(data, { shape, device });
  const frozen = frozenArrays(put, block);
  const each = (valueOf) =>
    Object.fromEntries(Object.entries(block.adapters).map(([name, one]) => [name, put(valueOf(one), one.shape)]));
  let state = { weights: each(({ data }) => data) };
  const lossOf = blockLoss(jax, block);
  const differentiate = jax.jit((w, f) => jax.valueAndGrad(lossOf)(w, f));
  const update = jax.jit(({ weights, m, v }, { scale, biasScale }, f) => {
    const { beta1, beta2, epsilon } = adam;
    const [loss, gradients] = jax.valueAndGrad(lossOf)(tree.ref(weights), f);
    const next = { weights: {}, m: {}, v: {} };
    for (const [name, g] of Object.entries(gradients)) {
      next.m[name] = m[name].mul(beta1).add(g.ref.mul(1 - beta1));
      next.v[name] = v[name].mul(beta2).add(np.square(g).mul(1 - beta2));
      const root = np.sqrt(next.v[name].ref).mul(biasScale.ref).add(epsilon);
      next.weights[name] = weights[name].sub(next.m[name].ref.mul(scale.ref).div(root));
    }
    tree.dispose([scale, biasScale]);
    return [loss, next];
  });
  let steps = 0;
  return {
    async gradients() {
      const [loss, gradients] = differentiate(tree.ref(state.weights), tree.ref(frozen));
      const read = [];
      for (const [name, gradient] of Object.entries(gradients)) read.push([name, await gradient.data()]);
      return { loss: (await loss.data())[0], gradients: Object.fromEntries(read) };
    },
    async step() {
      const zeros = () => each(({ data }) => new Float32Array(data.length));
      if (steps++ === 0) state = { ...state, m: zeros(), v: zeros() };
      const scalars = {
        scale: put(Float32Array.of(adam.learningRate / (1 - adam.beta1 ** steps)), []),
        biasScale: put(Float32Array.of(1 / Math.sqrt(1 - adam.beta2 ** steps)), []),
      };
      const [loss, next] = update(state, scalars, tree.ref(frozen));
      state = next;
      // An array that nobody waits for is never computed.
      await jax.blockUntilReady(state);
      return (await loss.data())[0];
    },
    async dispose() {
      tree.dispose(state);
      tree.dispose(frozen);
      differentiate.dispose?.();
      update.dispose?.();
    },
  };
}

/** The weights, and what the batch gives. */
function frozenArrays(put, block) {
  const { batch, length, model, ids } = block;
  const weights = Object.entries(block.weights).map(([name, { shape, data }]) => [name, put(data, shape)]);
  const { half, cos, sin } = rotaryTables(block);
  const hidden = Float32Array.from({ length: length * length }, (_, at) =>
    at % length > Math.floor(at / length) ? -1e9 : 0,
  );
  const labels = new Float32Array(batch * length * model.vocabulary);
  for (const [at, label] of labelsOf(block).entries()) if (label >= 0) labels[at * model.vocabulary + label] = 1;
  return {
    ...Object.fromEntries(weights),
    cos: put(cos, [length, 1, half]),
    sin: put(sin, [length, 1, half]),
    mask: put(hidden, [length, length]),
    ids: put(ids, [batch * length]),
    labels: put(labels, [batch * length, model.vocabulary]),
  };
}

/** The mean cross-entropy of the adapters' matrices `w` and the frozen arrays `f`, which it takes. */
function blockLoss({ numpy: np, nn, tree }, { batch, length, model }) {
  const { hidden, heads, keyHeads, epsilon, r, alpha } = model;
  const headSize = hidden / heads;
  const shared = heads / keyHeads;
  const norm = (x, weight) => {
    const scale = np.reciprocal(np.sqrt(np.square(x.ref).mean(-1, { keepdims: true }).add(epsilon)));
    return x.mul(scale).mul(weight.ref);
  };
  const timesTransposed = (x, weight) => np.matmul(x, weight.ref.transpose());
  const linear = (w, f, name, x) => {
    const up = timesTransposed(timesTransposed(x.ref, w[`${name}.A`]), w[`${name}.B`]);
    return timesTransposed(x, f[name]).add(up.mul(alpha / r));
  };
  const rope = (f, x) => {
    const a = x.ref.slice([], [], [], [0, headSize / 2]);
    const b = x.slice([], [], [], [headSize / 2, headSize]);
    const first = a.ref.mul(f.cos.ref).sub(b.ref.mul(f.sin.ref));
    return np.concatenate([first, b.mul(f.cos.ref).add(a.mul(f.sin.ref))], -1);
  };
  const attention = (w, f, x) => {
    const q = rope(f, linear(w, f, 'q_proj', x.ref).reshape([batch, length, heads, headSize]));
    const k = rope(f, linear(w, f, 'k_proj', x.ref).reshape([batch, length, keyHeads, headSize]));
    const v = linear(w, f, 'v_proj', x).reshape([batch, length, keyHeads, headSize]);
    // The query heads of a key head lie one after another: one product each, and no copy of keys.
    const queries = q.transpose([0, 2, 1, 3]).reshape([batch * keyHeads, shared * length, headSize]);
    const keys = k.transpose([0, 2, 3, 1]).reshape([batch * keyHeads, headSize, length]);
    const values = v.transpose([0, 2, 1, 3]).reshape([batch * keyHeads, length, headSize]);
    const scores = np.matmul(queries, keys).mul(1 / Math.sqrt(headSize));
    const masked = scores.reshape([batch * heads, length, length]).add(f.mask.ref);
    const shares = nn.softmax(masked, -1).reshape([batch * keyHeads, shared * length, length]);
    const mixed = np.matmul(shares, values).reshape([batch, heads, length, headSize]);
    return linear(w, f, 'o_proj', mixed.transpose([0, 2, 1, 3]).reshape([batch * length, hidden]));
  };
  const mlp = (w, f, x) => {
    const gate = nn.silu(linear(w, f, 'gate_proj', x.ref));
    return linear(w, f, 'down_proj', gate.mul(linear(w, f, 'up_proj', x)));
  };
  return (w, f) => {
    const x = f.embed_tokens.ref.slice(f.ids.ref);
    const middle = x.ref.add(attention(w, f, norm(x, f.input_layernorm)));
    const out = middle.ref.add(mlp(w, f, norm(middle, f.post_attention_layernorm)));
    const logits = timesTransposed(norm(out, f.norm), f.lm_head);
    const loss = nn.logSoftmax(logits, -1).mul(f.labels.ref).sum();
    tree.dispose(w);
    tree.dispose(f);
    return loss.mul(-1 / (batch * (length - 1)));
  };
}
