import { compile, matmul, Rng, tensor } from '@lowrank/tensor';
import { openPeers } from './peers/index.mjs';
import { interleave, median, ratioOf, summarize, timed, timedWithCpu } from './statistics.mjs';

/**
 * The matmul probe: what each device's matrix kernel does per second, ours and the peers' in turns. All are called as
 * their users call them, a compiled function of several independent products (one where one is large), so that the cost
 * of a call does not hide the kernel.
 */

/** T: positions of a packed batch of 8 rows of e2e-nlg; 192, 512, 4096: stories3M's widths; 8: the adapter's rank. */
const tokens = 800;
export const matmulCases = [
  ...[256, 512, 1024].flatMap((side) =>
    ['NN', 'NT', 'TN'].map((form) => ({ name: `${side}³ ${form}`, form, m: side, n: side, k: side })),
  ),
  { name: 'linear 192→512', form: 'NT', m: tokens, n: 512, k: 192 },
  { name: 'its dX', form: 'NN', m: tokens, n: 192, k: 512 },
  { name: 'logits 192→4096', form: 'NT', m: tokens, n: 4096, k: 192 },
  { name: 'their dX', form: 'NN', m: tokens, n: 192, k: 4096 },
  { name: 'LoRA down 192→8', form: 'NT', m: tokens, n: 8, k: 192 },
  { name: 'LoRA up 8→512', form: 'NT', m: tokens, n: 512, k: 8 },
  { name: 'LoRA dB', form: 'TN', m: 512, n: 8, k: tokens },
  { name: 'LoRA dA', form: 'TN', m: 8, n: 192, k: tokens },
];

/**
 * @typedef {object} Product
 * @property {'NN' | 'NT' | 'TN'} form
 * @property {readonly Float32Array[]} a left operands, one for each product of a call
 * @property {Float32Array} b
 * @property {readonly number[]} shapeA as stored: [M, K], or [K, M] for TN
 * @property {readonly number[]} shapeB as stored: [K, N], or [N, K] for NT
 *
 * @typedef {object} Prepared
 * @property {(repeats: number) => Promise<void>} run resolves when the device has done all of it
 * @property {() => Promise<ArrayLike<number>[]>} read the products
 * @property {() => Promise<void>} dispose
 */

/** @param {typeof matmulCases[number]} shape @returns {Product} */
function makeProduct({ form, m, n, k }) {
  const copies = Math.min(16, Math.max(1, Math.round(1e8 / (2 * m * n * k))));
  const rng = new Rng(1);
  const random = (size) => Float32Array.from({ length: size }, () => rng.uniform() - 0.5);
  return {
    form,
    a: Array.from({ length: copies }, () => random(m * k)),
    b: random(k * n),
    shapeA: form === 'TN' ? [k, m] : [m, k],
    shapeB: form === 'NT' ? [n, k] : [k, n],
  };
}

/** @param {import('@lowrank/tensor').Backend} backend @param {Product} product @returns {Promise<Prepared>} */
async function prepareOurs(backend, { form, a, b, shapeA, shapeB }) {
  const left = a.map((values) => tensor(values, shapeA));
  const right = tensor(b, shapeB);
  const forms = { transposeA: form === 'TN', transposeB: form === 'NT' };
  const all = compile(backend, () => Object.fromEntries(left.map((x, at) => [`y${at}`, matmul(x, right, forms)])));
  await all.prepare({});
  return {
    async run(repeats) {
      for (let i = 0; i < repeats; i++) await all.run({}, { read: [] });
      await backend.finish();
    },
    async read() {
      const results = await all.run({});
      const values = [];
      for (const at of left.keys()) values.push(await results[`y${at}`]);
      return values;
    },
    async dispose() {
      await all.dispose();
      for (const operand of [...left, right]) operand.dispose();
    },
  };
}

/**
 * A fast wrong kernel is worth nothing: some elements against f64.
 *
 * @param {string} who
 * @param {Product} product
 * @param {ArrayLike<number>[]} results
 */
function check(who, { form, a, b, shapeA, shapeB }, results) {
  const [k, m] = form === 'TN' ? shapeA : [...shapeA].reverse();
  const n = form === 'NT' ? shapeB[0] : shapeB[1];
  for (const [at, left] of a.entries()) {
    for (const [i, j] of [
      [0, 0],
      [m - 1, n - 1],
      [m >> 1, n >> 1],
      [m - 1, 0],
    ]) {
      let expected = 0;
      let scale = 0;
      for (let l = 0; l < k; l++) {
        const term = left[form === 'TN' ? l * m + i : i * k + l] * b[form === 'NT' ? j * k + l : l * n + j];
        expected += term;
        scale += Math.abs(term);
      }
      const got = results[at]?.[i * n + j] ?? NaN;
      if (!(Math.abs(got - expected) <= 1e-5 * scale))
        throw new Error(`${who}: a ${form} product is wrong at [${i}, ${j}]: expected ${expected}, got ${got}`);
    }
  }
}

/**
 * @param {object} options
 * @param {import('./devices.mjs').Device[]} options.devices
 * @param {number} options.rounds
 * @param {number} options.sampleMs how long one measurement should take at least
 * @param {number} options.secondsPerCase a device that would take longer gets fewer rounds
 * @param {readonly (typeof matmulCases[number])[]} options.cases
 * @param {(text: string) => void} options.log
 */
export async function runMatmul({ devices, rounds, sampleMs, secondsPerCase, cases, log }) {
  const groups = [
    devices.filter(({ kind }) => kind === 'cpu'),
    ...devices.filter(({ kind }) => kind === 'webgpu').map((device) => [device]),
  ].filter((group) => group.length > 0);
  const results = [];
  const notRun = [];
  for (const group of groups) {
    const opened = await Promise.all(group.map(async (device) => ({ device, backend: await device.open() })));
    const found = await openPeers(group[0]);
    notRun.push(...found.notRun);
    const contenders = [
      ...opened.map(({ device, backend }) => ({
        name: device.id,
        // Threads of a software adapter are this process’s: its processor time counts them too.
        byCpuTime: device.threads === 1 || device.software,
        prepare: (product) => prepareOurs(backend, product),
      })),
      ...found.peers.map(({ label, prepareProduct }) => ({ name: label, peer: true, prepare: prepareProduct })),
    ];
    try {
      for (const shape of cases) {
        log(`matmul ${shape.name} on ${group.map(({ id }) => id).join(', ')} …`);
        const found = await measureCase({ shape, contenders, rounds, sampleMs, secondsPerCase });
        for (const { who, againstPeers } of found)
          for (const { peer, ratio } of againstPeers) log(`  ${who}: ${ratio.toFixed(2)} × ${peer}`);
        results.push(...found);
      }
    } finally {
      for (const { backend } of opened) backend.dispose();
    }
  }
  return { results, notRun };
}

async function measureCase({ shape, contenders, rounds, sampleMs, secondsPerCase }) {
  const product = makeProduct(shape);
  const flops = 2 * shape.m * shape.n * shape.k * product.a.length;
  const prepared = [];
  try {
    for (const { name, prepare, peer, byCpuTime } of contenders) {
      const one = await prepare(product);
      prepared.push({ name, peer, byCpuTime, ...one });
      check(name, product, await one.read());
    }
    const runners = [];
    let slowest = 0;
    for (const { name, run } of prepared) {
      await run(1);
      const once = median(
        await repeat(
          3,
          timed(() => run(1)),
        ),
      );
      slowest = Math.max(slowest, once);
      const repeats = Math.max(1, Math.min(200, Math.ceil(sampleMs / once)));
      runners.push({
        name,
        async run() {
          const { wall, cpu } = await timedWithCpu(() => run(repeats))();
          return { wall: wall / repeats, cpu: cpu / repeats };
        },
      });
    }
    // Software adapters take a second for what others do in a millisecond.
    const affordable = Math.max(2, Math.min(rounds, Math.floor((secondsPerCase * 1000) / (slowest * prepared.length))));
    const samples = await interleave(runners, { rounds: affordable, warmup: affordable === rounds ? 1 : 0 });
    const wall = (name) => samples[name].map((sample) => sample.wall);
    const cpu = (name) => samples[name].map((sample) => sample.cpu);
    const peers = prepared.filter(({ peer }) => peer).map(({ name }) => name);
    return prepared.map(({ name, peer, byCpuTime }) => ({
      case: shape.name,
      form: shape.form,
      size: [shape.m, shape.k, shape.n],
      who: name,
      peer: peer === true,
      gflops: flops / median(wall(name)) / 1e6,
      bestGflops: flops / Math.min(...wall(name)) / 1e6,
      ms: summarize(wall(name).map((time) => time / product.a.length)),
      // Above 1 where ours is faster.
      againstPeers: peer
        ? []
        : peers.map((other) => ({
            peer: other,
            ...ratioOf(wall(name), wall(other)),
            byCpuTime: byCpuTime ? ratioOf(cpu(name), cpu(other)).ratio : undefined,
          })),
    }));
  } finally {
    for (const one of prepared) await one.dispose();
  }
}

async function repeat(count, run) {
  const results = [];
  for (let i = 0; i < count; i++) results.push(await run());
  return results;
}
