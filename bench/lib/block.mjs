import { padBatch } from '@lowrank/data';
import { loraConfig } from '@lowrank/lora';
import { loadCausalModel } from '@lowrank/models';
import { addAdapter } from '@lowrank/patch';
import { compile, div, grad, tensor } from '@lowrank/tensor';
import { createTrainStep } from '@lowrank/trainer';
import { adam, makeBlock } from './blockModel.mjs';
import { checkpointOf } from './checkpoint.mjs';
import { openPeers } from './peers/index.mjs';
import { interleave, ratioOf, summarize, timed, timedWithCpu } from './statistics.mjs';

/**
 * A training step of a Llama of one block: forward, backward and Adam over LoRA's matrices on all seven linear layers,
 * ours and the peers' in turns. All hold the same f32 numbers; before anything is timed everybody's loss, gradients of
 * every matrix and the losses of two steps after it are compared.
 */

/** Where the checkpoint of one layer has a weight. */
function pathOf(name) {
  if (name === 'lm_head') return 'lm_head';
  if (name === 'embed_tokens' || name === 'norm') return `model.${name}`;
  if (name.endsWith('layernorm')) return `model.layers.0.${name}`;
  return `model.layers.0.${/^[qkvo]_/.test(name) ? 'self_attn' : 'mlp'}.${name}`;
}

function configOf({ hidden, intermediate, heads, keyHeads, vocabulary, epsilon, theta }, length) {
  return {
    model_type: 'llama',
    hidden_size: hidden,
    intermediate_size: intermediate,
    num_hidden_layers: 1,
    num_attention_heads: heads,
    num_key_value_heads: keyHeads,
    vocab_size: vocabulary,
    max_position_embeddings: length,
    rms_norm_eps: epsilon,
    rope_theta: theta,
    hidden_act: 'silu',
    tie_word_embeddings: false,
  };
}

/**
 * As a user trains: a checkpoint, an adapter on it, the trainer's step.
 *
 * @param {import('./blockModel.mjs').Block} block
 * @returns {Promise<import('./blockModel.mjs').PreparedBlock>}
 */
export async function prepareOurs(backend, block) {
  const { batch, length, ids, weights, adapters } = block;
  const files = checkpointOf(
    configOf(block.model, length),
    Object.entries(weights).map(([name, { shape, data }]) => ({ name: `${pathOf(name)}.weight`, shape, data })),
    'a Llama of one block',
  );
  const llama = await loadCausalModel(files, { backend: () => Promise.resolve(backend) });
  const { r, alpha } = block.model;
  const { parameters } = await addAdapter(llama, loraConfig({ r, alpha, targetModules: 'all-linear' }));
  const named = new Map(parameters.map(({ name, parameter }) => [nameOf(name), parameter]));
  for (const [name, { shape, data }] of Object.entries(adapters)) {
    const parameter = named.get(name);
    if (parameter === undefined)
      throw new Error(`Lowrank: the adapter has no ${name}: ${[...named.keys()].join(', ')}`);
    parameter.tensor.dispose();
    parameter.tensor = tensor(data, shape);
  }
  const rows = Array.from({ length: batch }, (_, row) => ids.subarray(row * length, (row + 1) * length));
  const tokens = padBatch(
    rows.map((row) => ({ ids: row, labels: row, labelTokens: length - 1 })),
    { bucket: (size) => size },
  );
  let step;
  return {
    async gradients() {
      const [names, tensors] = [[...named.keys()], [...named.values()].map((parameter) => parameter.tensor)];
      const all = compile(backend, (inputs) => {
        const loss = div(llama.loss(inputs), batch * (length - 1));
        return { loss, ...Object.fromEntries(grad(loss, tensors).map((gradient, at) => [names[at], gradient])) };
      });
      const { loss, ...gradients } = await all.run(tokens.inputs);
      const read = await Promise.all(Object.entries(gradients).map(async ([name, data]) => [name, await data]));
      const found = { loss: (await loss)[0] ?? NaN, gradients: Object.fromEntries(read) };
      await all.dispose();
      return found;
    },
    async step() {
      const { learningRate, beta1, beta2, epsilon } = adam;
      step ??= await createTrainStep({
        backend,
        loss: (inputs) => llama.loss(inputs),
        parameters,
        beta1,
        beta2,
        epsilon,
      });
      return (await step.run([tokens], learningRate)).loss;
    },
    async dispose() {
      await step?.dispose({ weights: true });
      for (const [, { tensor: weight }] of llama.namedParameters()) weight.dispose();
    },
  };
}

/** `…q_proj.lora_A…` → `q_proj.A`. */
function nameOf(path) {
  const [, layer, matrix] = /(\w+)\.lora_([AB])/.exec(path) ?? [];
  return `${layer}.${matrix}`;
}

/**
 * Everybody has the same loss, the same gradient of every matrix, and the same losses two updates later, or they are
 * not compared. Afterwards each has taken three steps, and all that is compiled is.
 *
 * @param {readonly { name: string, prepared: import('./blockModel.mjs').PreparedBlock }[]} contenders ours first
 */
export async function agreementOf([ours, ...others], log = () => undefined) {
  const run = async ({ name, prepared }) => {
    log(`  ${name}: compiling, and three steps …`);
    const first = await prepared.gradients();
    const losses = [];
    for (let step = 0; step < 3; step++) losses.push(await prepared.step());
    return { ...first, losses };
  };
  const expected = await run(ours);
  const agreement = [];
  for (const other of others) {
    const got = await run(other);
    const loss = Math.max(
      ...[expected.loss, ...expected.losses].map((value, at) => Math.abs([got.loss, ...got.losses][at] / value - 1)),
    );
    const gradient = Math.max(
      ...Object.entries(expected.gradients).map(([name, values]) => difference(values, got.gradients[name])),
    );
    if (!(loss <= tolerance && gradient <= tolerance))
      throw new Error(
        `${other.name}: losses differ by ${loss}, gradients by ${gradient}, of at most ${tolerance}: not the same ` +
          `step (losses ${got.losses.join(', ')}; ours ${expected.losses.join(', ')})`,
      );
    agreement.push({ who: other.name, loss, gradient });
  }
  return agreement;
}

const tolerance = 1e-4;

/** The largest difference of two vectors, of the largest number of the first. */
function difference(expected, got = []) {
  let [most, scale] = [0, 0];
  for (const [at, value] of expected.entries()) {
    most = Math.max(most, Math.abs(value - (got[at] ?? NaN)));
    scale = Math.max(scale, Math.abs(value));
  }
  return expected.length === got.length ? most / scale : NaN;
}

/**
 * @param {object} options
 * @param {import('./devices.mjs').Device[]} options.devices
 * @param {number} options.rounds
 * @param {number} options.secondsPerCase a device that would take longer gets fewer rounds
 * @param {readonly { name: string, batch: number, length: number }[]} options.cases
 * @param {(text: string) => void} options.log
 */
export async function runBlock({ devices, rounds, secondsPerCase, cases, log }) {
  const results = [];
  const notRun = [];
  const failed = [];
  for (const device of devices) {
    const backend = await device.open();
    try {
      const found = await openPeers(device);
      notRun.push(...found.notRun);
      for (const shape of cases) {
        log(`a step of a Llama's block, ${shape.name} tokens, on ${device.id} …`);
        results.push(...(await measure({ device, backend, peers: found.peers, shape, rounds, secondsPerCase, log })));
      }
    } catch (error) {
      failed.push({ what: `a Llama's block on ${device.id}`, error });
    } finally {
      backend.dispose();
    }
  }
  return { results, notRun, failed };
}

async function measure({ device, backend, peers, shape, rounds, secondsPerCase, log }) {
  const block = makeBlock(shape);
  const contenders = [];
  try {
    contenders.push({ name: device.id, prepared: await prepareOurs(backend, block) });
    for (const { label, prepareBlock } of peers) contenders.push({ name: label, prepared: await prepareBlock(block) });
    const agreement = await agreementOf(contenders, log);
    let whole = 0;
    for (const { prepared } of contenders) whole += await timed(() => prepared.step())();
    const affordable = Math.max(3, Math.min(rounds, Math.floor((secondsPerCase * 1000) / whole)));
    const samples = await interleave(
      contenders.map(({ name, prepared }) => ({ name, run: timedWithCpu(() => prepared.step()) })),
      { rounds: affordable, warmup: 1 },
    );
    const byCpuTime = device.threads === 1 || device.software;
    const of = (name, clock) => samples[name].map((sample) => sample[clock]);
    return contenders.map(({ name }, at) => ({
      case: shape.name,
      device: device.id,
      who: name,
      ms: summarize(of(name, 'wall')),
      ...(at > 0 && {
        agreement: agreement.find(({ who }) => who === name),
        // Above 1 where ours is faster.
        ours: ratioOf(of(device.id, 'wall'), of(name, 'wall')),
        byCpuTime: byCpuTime ? ratioOf(of(device.id, 'cpu'), of(name, 'cpu')).ratio : undefined,
      }),
    }));
  } finally {
    for (const { prepared } of contenders) await prepared.dispose();
  }
}
