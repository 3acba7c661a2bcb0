import { padBatch } from '@lowrank/data';
import { loraConfig } from '@lowrank/lora';
import { loadCausalModel, outlineModel } from '@lowrank/models';
import { addAdapter } from '@lowrank/patch';
import { compile, fromNumbers, matmul, Rng, tensor } from '@lowrank/tensor';
import { bytesPerElement, decodeMatrix, EncodedMatrix, encodingSpecs, hostArray, sizeOf } from '@lowrank/tensor/op';
import { createTrainStep } from '@lowrank/trainer';
import { checkpointOf } from './checkpoint.mjs';
import { interleave, median, ratioOf, summarize, timed, timedWithCpu } from './statistics.mjs';
import { recipe } from './workload.mjs';

/**
 * What 4 bits cost and save, against the same weights in 16 bits on the same device in the same rounds: a product
 * alone, and a training step of a Llama of random weights, wide enough to be bound by its products.
 */

/** A plain weight and its encodings. The values of the codes do not matter to the time. */
const table = Array.from({ length: 16 }, (_, code) => (code - 7.5) / 8);
const weights = [
  { name: 'bf16', dtype: 'bf16' },
  { name: 'f32', dtype: 'f32' },
  { name: '4-bit', encoding: { kind: 'block4', blockSize: 64, table } },
  { name: '4-bit double', encoding: { kind: 'block4', blockSize: 64, table, nestedBlockSize: 256 } },
  { name: '8-bit', encoding: { kind: 'rows8' } },
];

const productCases = [
  { name: 'forward', form: 'NT', m: 256, n: 1024, k: 1024 },
  { name: 'its dX', form: 'NN', m: 256, n: 1024, k: 1024 },
  { name: 'one token', form: 'NT', m: 1, n: 1024, k: 1024 },
];

/**
 * A step of one of these takes a device about a second: a block of a software adapter's, of a processor's, of a GPU's.
 */
const models = {
  small: { hidden: 512, intermediate: 1408, layers: 1, heads: 8, batch: 1, length: 256 },
  middle: { hidden: 1024, intermediate: 2816, layers: 1, heads: 16, batch: 1, length: 512 },
  large: { hidden: 2048, intermediate: 5632, layers: 4, heads: 32, batch: 8, length: 512 },
};
const modelFor = ({ kind, software }) => (kind === 'cpu' ? models.middle : software ? models.small : models.large);

/** @param {object} options as `runTraining`'s */
export async function runQuantized({ devices, rounds, secondsPerDevice, log }) {
  const products = [];
  const steps = [];
  const failed = [];
  for (const device of devices) {
    try {
      const backend = await device.open();
      try {
        for (const shape of productCases) {
          log(`${shape.name} over 4 bits on ${device.id} …`);
          products.push(
            ...(await measureProduct(device, backend, { shape, rounds: 3 * rounds, seconds: secondsPerDevice / 6 })),
          );
        }
      } finally {
        backend.dispose();
      }
      log(`QLoRA beside LoRA on ${device.id} …`);
      steps.push(await measureSteps(device, { rounds: 5 * rounds, seconds: secondsPerDevice }));
    } catch (error) {
      failed.push({ what: `quantized on ${device.id}`, error });
    }
  }
  return { products, steps, failed };
}

/** The weights of a product [rows, columns] in each encoding. */
function makeWeight({ dtype, encoding }, rows, columns, rng) {
  if (encoding === undefined)
    return tensor(
      fromNumbers(
        Float64Array.from({ length: rows * columns }, () => rng.uniform() - 0.5),
        dtype,
      ),
      [rows, columns],
      { dtype },
    );
  const whole = { ...encoding, rows, columns };
  const parts = encodingSpecs(whole).map(({ shape, dtype: type }) =>
    tensor(
      type === 'f32'
        ? Float32Array.from({ length: sizeOf(shape) }, () => 0.5 + rng.uniform())
        : hostArray(type, Uint8Array.from({ length: sizeOf(shape) }, () => rng.integer(256)).buffer),
      shape,
      { dtype: type },
    ),
  );
  return new EncodedMatrix(whole, parts);
}

async function measureProduct(device, backend, { shape: { name, form, m, n, k }, rounds, seconds }) {
  const rng = new Rng(1);
  const transposeB = form === 'NT';
  const copies = Math.max(1, Math.min(16, Math.round(1e8 / (2 * m * n * k))));
  const a = Array.from({ length: copies }, () =>
    tensor(
      Float32Array.from({ length: m * k }, () => rng.uniform() - 0.5),
      [m, k],
    ),
  );
  const prepared = [];
  for (const weight of weights) {
    const b = makeWeight(weight, transposeB ? n : k, transposeB ? k : n, rng);
    const all = compile(backend, () => Object.fromEntries(a.map((x, at) => [`y${at}`, matmul(x, b, { transposeB })])));
    const run = async (repeats) => {
      for (let i = 0; i < repeats; i++) await all.run({}, { read: [] });
      await backend.finish();
    };
    if (b instanceof EncodedMatrix)
      await check({ backend, all, a: a[0], b, transposeB, name: `${name}, ${weight.name}` });
    await run(1);
    prepared.push({ name: weight.name, all, b, run });
  }
  const slowest = Math.max(...(await inTurn(prepared, ({ run }) => timed(() => run(1))())));
  const repeats = Math.max(1, Math.min(50, Math.ceil(20 / slowest)));
  const affordable = Math.max(
    3,
    Math.min(rounds, Math.floor((seconds * 1000) / (slowest * repeats * prepared.length))),
  );
  const samples = await interleave(
    prepared.map(({ name: who, run }) => ({ name: who, run: timedWithCpu(() => run(repeats)) })),
    { rounds: affordable, warmup: 1 },
  );
  const results = prepared.map(({ name: who }) => ({
    device: device.id,
    case: name,
    form,
    size: [m, k, n],
    weight: who,
    ms: summarize(samples[who].map(({ wall }) => wall / (repeats * copies))),
    gflops: (2 * m * n * k * copies * repeats) / median(samples[who].map(({ wall }) => wall)) / 1e6,
    ...against(device, samples.bf16, samples[who]),
  }));
  for (const { all, b } of prepared) {
    await all.dispose();
    for (const part of b instanceof EncodedMatrix ? b.parts : [b]) part.dispose();
  }
  for (const x of a) x.dispose();
  return results;
}

/**
 * Time over that of 16 bits, above 1 where 16 bits are faster; on one thread, and on a software adapter, by processor
 * time too, which other programs disturb less.
 */
function against({ threads, software }, base, other) {
  const [wall, cpu] = ['wall', 'cpu'].map((clock) =>
    ratioOf(
      base.map((sample) => sample[clock]),
      other.map((sample) => sample[clock]),
    ),
  );
  return { against16: wall, byCpuTime: threads === 1 || software ? cpu.ratio : undefined };
}

async function inTurn(list, run) {
  const results = [];
  for (const one of list) results.push(await run(one));
  return results;
}

/** A fast wrong kernel is worth nothing: some elements against f64, on the values that the codes decode to. */
async function check({ backend, all, a, b, transposeB, name }) {
  const decode = compile(backend, () => ({ w: decodeMatrix(b), a }));
  const decoded = await decode.run({});
  const [w, left, y] = [await decoded.w, await decoded.a, await (await all.run({})).y0];
  const [[m, k], [rows, columns]] = [a.shape, b.shape];
  const n = transposeB ? rows : columns;
  for (const [i, j] of [
    [0, 0],
    [m - 1, n - 1],
    [m >> 1, n >> 1],
    [0, n - 1],
  ]) {
    let [expected, scale] = [0, 0];
    for (let l = 0; l < k; l++) {
      const term = left[i * k + l] * w[transposeB ? j * k + l : l * n + j];
      expected += term;
      scale += Math.abs(term);
    }
    if (!(Math.abs(y[i * n + j] - expected) <= 1e-5 * scale))
      throw new Error(`${name}: wrong at [${i}, ${j}]: expected ${expected}, got ${y[i * n + j]}`);
  }
  await decode.dispose();
}

/** A Llama in bf16: what is quantized is what a user would load. */
function makeCheckpoint({ hidden, intermediate, layers, heads, length }) {
  const config = {
    model_type: 'llama',
    hidden_size: hidden,
    intermediate_size: intermediate,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: heads,
    vocab_size: 256,
    max_position_embeddings: length,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    hidden_act: 'silu',
    tie_word_embeddings: false,
  };
  // Gigabytes of draws would take longer than the measurement: one pool, of a length that no row divides.
  const rng = new Rng(3);
  const pool = fromNumbers(
    Float64Array.from({ length: 65_521 }, () => rng.normal() / Math.sqrt(hidden)),
    'bf16',
  );
  const entries = [...outlineModel(config, { dtype: 'bf16' }).namedParameters()].map(
    ([
      name,
      {
        tensor: { shape },
      },
    ]) => {
      const data = new Uint16Array(sizeOf(shape));
      if (shape.length === 1) data.set(fromNumbers(new Float64Array(data.length).fill(1), 'bf16'));
      else for (let at = 0; at < data.length; at += pool.length) data.set(pool.subarray(0, data.length - at), at);
      return { name, shape, data };
    },
  );
  return checkpointOf(config, entries, 'a Llama of random weights');
}

const bases = [
  { name: 'LoRA, 16-bit base', quantization: undefined },
  { name: 'QLoRA, NF4', quantization: { type: 'nf4' } },
  { name: 'QLoRA, NF4 double', quantization: { type: 'nf4', doubleQuantization: true } },
];

async function measureSteps(device, { rounds, seconds }) {
  const shape = modelFor(device);
  const files = makeCheckpoint(shape);
  const rng = new Rng(4);
  const ids = Array.from({ length: shape.batch }, () =>
    Int32Array.from({ length: shape.length }, () => rng.integer(256)),
  );
  const batch = padBatch(
    ids.map((row) => ({ ids: row, labels: row, labelTokens: row.length - 1 })),
    { bucket: (length) => length },
  );
  const sessions = [];
  try {
    for (const base of bases) sessions.push(await openBase(device, files, base, batch));
    const firstLosses = await inTurn(sessions, ({ step }) => step());
    if (!firstLosses.every((loss) => Math.abs(loss - firstLosses[0]) < 0.2))
      throw new Error(`the first losses are ${firstLosses.join(', ')}: not the same model`);
    const once = Math.max(...(await inTurn(sessions, ({ step }) => timed(step)())));
    const affordable = Math.max(3, Math.min(rounds, Math.floor((seconds * 1000) / (once * sessions.length))));
    const samples = await interleave(
      sessions.map(({ name, step }) => ({ name, run: timedWithCpu(step) })),
      { rounds: affordable },
    );
    const [plain] = sessions;
    return {
      device: device.id,
      model: shape,
      results: sessions.map(({ name, matrixBytes, modelBytes, peakBytes }, at) => ({
        name,
        msPerStep: summarize(samples[name].map(({ wall }) => wall)),
        ...against(device, samples[plain.name], samples[name]),
        firstLoss: firstLosses[at],
        matrixBytes,
        matrixShare: matrixBytes / plain.matrixBytes,
        modelBytes,
        modelShare: modelBytes / plain.modelBytes,
        peakBytes: peakBytes(),
      })),
    };
  } finally {
    for (const session of sessions) await session.dispose();
  }
}

async function openBase(device, files, { name, quantization }, batch) {
  const backend = await device.open();
  const model = await loadCausalModel(files, { quantization, backend: () => Promise.resolve(backend) });
  const stored = [...model.namedParameters()].map(([path, { tensor: weight }]) => ({
    path,
    bytes: sizeOf(weight.shape) * bytesPerElement(weight.dtype),
  }));
  const total = (list) => list.reduce((sum, { bytes }) => sum + bytes, 0);
  const { parameters } = await addAdapter(model, loraConfig({ r: recipe.r, targetModules: recipe.targetModules }));
  const step = await createTrainStep({ backend, loss: (of) => model.loss(of), parameters, clip: recipe.clip });
  await step.prepare([batch]);
  return {
    name,
    // The linear layers of the blocks: what is quantized, where it is.
    matrixBytes: total(stored.filter(({ path }) => path.includes('_proj.'))),
    modelBytes: total(stored),
    peakBytes: () => backend.memory.peakBytes,
    step: async () => (await step.run([batch], recipe.learningRate)).loss,
    async dispose() {
      await step.dispose({ weights: true });
      for (const [, { tensor: weight }] of model.namedParameters()) weight.dispose();
      backend.dispose();
    },
  };
}
