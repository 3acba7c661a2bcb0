import { adam, labelsOf, rotaryTables } from '../blockModel.mjs';

/**
 * The step of block.mjs in TensorFlow.js: its ops, its gradients and its Adam.
 *
 * @param {typeof import('@tensorflow/tfjs-core')} tf
 * @param {import('../blockModel.mjs').Block} block
 * @returns {Promise<import('../blockModel.mjs').PreparedBlock>}
 */
export async function prepareBlock(tf, block) {
  const frozen = frozenTensors(tf, block);
  const adapters = Object.fromEntries(
    Object.entries(block.adapters).map(([name, { shape, data }]) => [
      name,
      tf.tidy(() => tf.variable(tf.tensor(data, shape), true, name)),
    ]),
  );
  const variables = Object.values(adapters);
  const lossOf = blockLoss(tf, block, { ...frozen, ...adapters });
  const { learningRate, beta1, beta2, epsilon } = adam;
  const optimizer = tf.train.adam(learningRate, beta1, beta2, epsilon);
  return {
    async gradients() {
      const { value, grads } = tf.variableGrads(lossOf, variables);
      const read = await Promise.all(Object.entries(grads).map(async ([name, grad]) => [name, await grad.data()]));
      const [loss] = await value.data();
      tf.dispose([value, grads]);
      return { loss, gradients: Object.fromEntries(read) };
    },
    async step() {
      const cost = optimizer.minimize(lossOf, true, variables);
      const [loss] = await cost.data();
      cost.dispose();
      return loss;
    },
    async dispose() {
      tf.dispose([frozen, variables]);
      optimizer.dispose();
    },
  };
}

/** The weights, and what the batch gives. */
function frozenTensors(tf, block) {
  const { length, model } = block;
  const weights = Object.entries(block.weights).map(([name, { shape, data }]) => [name, tf.tensor(data, shape)]);
  const { half, cos, sin } = rotaryTables(block);
  const hidden = Float32Array.from({ length: length * length }, (_, at) =>
    at % length > Math.floor(at / length) ? -1e9 : 0,
  );
  return {
    ...Object.fromEntries(weights),
    cos: tf.tensor(cos, [length, 1, half]),
    sin: tf.tensor(sin, [length, 1, half]),
    mask: tf.tensor(hidden, [1, length, length]),
    ids: tf.tensor1d(block.ids, 'int32'),
    labels: tf.tidy(() => tf.oneHot(tf.tensor1d(labelsOf(block), 'int32'), model.vocabulary)),
  };
}

/** The mean cross-entropy, as a function without arguments. */
function blockLoss(tf, { batch, length, model }, w) {
  const { hidden, heads, keyHeads, epsilon, r, alpha } = model;
  const headSize = hidden / heads;
  const shared = heads / keyHeads;
  const norm = (x, weight) => {
    const scale = tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), epsilon));
    return tf.mul(tf.mul(x, scale), weight);
  };
  const linear = (name, x) => {
    const down = tf.matMul(x, w[`${name}.A`], false, true);
    const up = tf.matMul(down, w[`${name}.B`], false, true);
    return tf.add(tf.matMul(x, w[name], false, true), tf.mul(up, alpha / r));
  };
  const rope = (x) => {
    const [a, b] = tf.split(x, 2, -1);
    return tf.concat([tf.sub(tf.mul(a, w.cos), tf.mul(b, w.sin)), tf.add(tf.mul(b, w.cos), tf.mul(a, w.sin))], -1);
  };
  const attention = (x) => {
    const q = rope(tf.reshape(linear('q_proj', x), [batch, length, heads, headSize]));
    const k = rope(tf.reshape(linear('k_proj', x), [batch, length, keyHeads, headSize]));
    const v = tf.reshape(linear('v_proj', x), [batch, length, keyHeads, headSize]);
    // The query heads of a key head lie one after another: one product each, and no copy of keys.
    const queries = tf.reshape(tf.transpose(q, [0, 2, 1, 3]), [batch * keyHeads, shared * length, headSize]);
    const [keys, values] = [k, v].map((y) =>
      tf.reshape(tf.transpose(y, [0, 2, 1, 3]), [batch * keyHeads, length, headSize]),
    );
    const scores = tf.mul(tf.matMul(queries, keys, false, true), 1 / Math.sqrt(headSize));
    const masked = tf.add(tf.reshape(scores, [batch * heads, length, length]), w.mask);
    const shares = tf.reshape(tf.softmax(masked), [batch * keyHeads, shared * length, length]);
    const mixed = tf.reshape(tf.matMul(shares, values), [batch, heads, length, headSize]);
    return linear('o_proj', tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [batch * length, hidden]));
  };
  const mlp = (x) => {
    const gate = linear('gate_proj', x);
    return linear('down_proj', tf.mul(tf.mul(gate, tf.sigmoid(gate)), linear('up_proj', x)));
  };
  return () => {
    const x = tf.gather(w.embed_tokens, w.ids);
    const middle = tf.add(x, attention(norm(x, w.input_layernorm)));
    const out = tf.add(middle, mlp(norm(middle, w.post_attention_layernorm)));
    const logits = tf.matMul(norm(out, w.norm), w.lm_head, false, true);
    return tf.mul(tf.sum(tf.mul(tf.logSoftmax(logits), w.labels)), -1 / (batch * (length - 1)));
  };
}
