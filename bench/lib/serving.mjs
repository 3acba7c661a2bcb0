import { packBatch } from '@lowrank/data';
import { loraConfig } from '@lowrank/lora';
import { createGenerator, loadCausalModel, openFolder } from '@lowrank/models';
import { addAdapter, bankFor, mergeAdapter, openAdapterBank, removeAdapter, saveAdapter } from '@lowrank/patch';
import { compile, Rng } from '@lowrank/tensor';
import { planCost } from '@lowrank/tensor/backend';
import { sourceOf } from '@lowrank/tensor/op';
import { interleave, median, ratioOf, summarize, timed, timedWithCpu } from './statistics.mjs';
import { findWorkload, recipe } from './workload.mjs';

/**
 * What an adapter costs while a model is used, and not trained: the loss of a batch and the time of a token in
 * generation, of the base alone, with an adapter merged in place, beside its layers, and in a bank of slots; and what
 * switching in the bank takes of the host.
 */

const newTokens = 48;
const slots = 4;
const loads = 10;

/** @param {object} options as `runTraining`'s */
export async function runServing({ devices, rounds, secondsPerDevice, log }) {
  const workload = await findWorkload();
  if ('reason' in workload) return { results: [], notRun: [{ what: 'serving', reason: workload.reason }], failed: [] };
  const results = [];
  const failed = [];
  for (const device of devices) {
    log(`an adapter merged, beside its layers and in a bank on ${device.id} …`);
    try {
      results.push(await measureDevice(device, workload, { rounds: 5 * rounds, seconds: secondsPerDevice }));
    } catch (error) {
      failed.push({ what: `serving on ${device.id}`, error });
    }
  }
  return {
    workload: workload.name,
    r: recipe.r,
    targetModules: recipe.targetModules,
    slots,
    newTokens,
    results,
    notRun: [],
    failed,
  };
}

/** An adapter with numbers in both halves, as a trained one has. */
async function makeAdapter(model, seed) {
  const config = loraConfig({ r: recipe.r, targetModules: recipe.targetModules });
  const rng = new Rng(seed);
  for (const { name, parameter } of (await addAdapter(model, config, { seed })).parameters) {
    if (name.endsWith('lora_B'))
      sourceOf(parameter.tensor).write(Float32Array.from({ length: parameter.tensor.size }, () => 0.02 * rng.normal()));
  }
  const adapter = await saveAdapter(model);
  return { config, adapter };
}

/** Each contender's model as it is served. */
const contenders = [
  { name: 'base', prepare: async (model) => removeAdapter(model) },
  { name: 'merged', prepare: async (model) => void (await mergeAdapter(model)) },
  { name: 'unmerged', prepare: async () => undefined },
  { name: 'bank, 1 slot', prepare: (model, adapter) => inBank(model, adapter, 1) },
  { name: `bank, ${slots} slots`, prepare: (model, adapter) => inBank(model, adapter, slots) },
];

async function inBank(model, adapter, count) {
  removeAdapter(model);
  const bank = openAdapterBank(model, { ...bankFor([adapter]), slots: count });
  await bank.load('it', adapter);
  bank.use('it');
  return bank;
}

async function measureDevice(device, workload, { rounds, seconds }) {
  const backend = await device.open();
  const sessions = [];
  try {
    const batch = packBatch(workload.rows.slice(0, recipe.batchSize));
    for (const { name, prepare } of contenders) {
      const model = await loadCausalModel(await openFolder(workload.model));
      const { adapter } = await makeAdapter(model, 1);
      const bank = await prepare(model, adapter);
      sessions.push({ name, bank, model, adapter, ...(await openSession(backend, model, batch, workload)) });
    }
    const losses = [];
    for (const { step } of sessions) losses.push(await step());
    const [base, ...adapted] = losses;
    if (!adapted.every((loss) => Math.abs(loss / adapted[0] - 1) < 1e-4) || Math.abs(adapted[0] / base - 1) < 1e-5)
      throw new Error(`the losses are ${losses.join(', ')}: not the same adapter`);
    for (const { token } of sessions) await token();
    const once = await timed(async () => {
      for (const { step, token } of sessions) await step().then(token);
    })();
    const affordable = Math.max(3, Math.min(rounds, Math.floor((seconds * 1000) / once)));
    const steps = await interleave(
      sessions.map(({ name, step }) => ({ name, run: timedWithCpu(step) })),
      { rounds: affordable },
    );
    const tokens = await interleave(
      sessions.map(({ name, token }) => ({ name, run: () => timedTokens(token) })),
      { rounds: affordable },
    );
    return {
      device: device.id,
      tokensPerStep: batch.batch * batch.length,
      contenders: sessions.map(({ name, flops }, at) => ({
        name,
        loss: losses[at],
        flops: flops / sessions[0].flops,
        msPerStep: summarize(steps[name].map(({ wall }) => wall)),
        stepAgainstBase: against(device, steps.base, steps[name]),
        msPerToken: summarize(tokens[name].map(({ wall }) => wall / newTokens)),
        tokenAgainstBase: against(device, tokens.base, tokens[name]),
        bestToken: bestOf(tokens[name]),
        bestTokenAgainstBase: bestOf(tokens[name]) / bestOf(tokens.base),
      })),
      switching: await measureSwitching(backend, sessions.at(-1)),
    };
  } finally {
    for (const session of sessions) await session.dispose();
    backend.dispose();
  }
}

async function timedTokens(token) {
  let gaps = [];
  const sample = await timedWithCpu(async () => (gaps = await token()))();
  return { ...sample, gaps };
}

/** The shortest of these times: what other programs disturbed least. */
const bestOf = (samples) => Math.min(...samples.flatMap(({ gaps }) => gaps));

/**
 * Time over the base's; on one thread, and on a software adapter, by processor time too, which other programs disturb
 * less.
 */
function against({ threads, software }, base, other) {
  const [wall, cpu] = ['wall', 'cpu'].map((clock) =>
    ratioOf(
      base.map((sample) => sample[clock]),
      other.map((sample) => sample[clock]),
    ),
  );
  return { ...wall, byCpuTime: threads === 1 || software ? cpu.ratio : undefined };
}

async function openSession(backend, model, { inputs }, workload) {
  const compiled = compile(backend, (given) => ({ loss: model.loss(given) }));
  const plan = await compiled.prepare(
    Object.fromEntries(Object.entries(inputs).map(([name, { shape: own }]) => [name, { shape: own, dtype: 'i32' }])),
  );
  const generator = createGenerator(model, { backend });
  const prompt = Array.from(workload.rows[0].ids.slice(0, 8));
  return {
    flops: planCost(plan).flops,
    step: async () => (await (await compiled.run(inputs)).loss)[0],
    /**
     * Milliseconds a token within every eight in a row: single ones may arrive two at a time, since the next is on its
     * way before one is looked at.
     */
    token: async () => {
      const times = [];
      await generator.generate([prompt], { maxNewTokens: newTokens, onToken: () => times.push(performance.now()) });
      return times.slice(8).map((time, at) => (time - times[at]) / 8);
    },
    async dispose() {
      await compiled.dispose();
      await generator.dispose();
      model.dispose();
    },
  };
}

/**
 * Milliseconds of the host in a switch, and how much of it lies in the backend's own copies: the upload. What it makes
 * is counted.
 */
async function measureSwitching(backend, { bank, adapter, step }) {
  let uploading = 0;
  let bytes = 0;
  let plans = 0;
  const { write, prepare } = backend;
  backend.write = (...given) => {
    const start = performance.now();
    write.apply(backend, given);
    uploading += performance.now() - start;
    bytes += given[2].byteLength;
  };
  backend.prepare = (...given) => {
    plans++;
    return prepare.apply(backend, given);
  };
  const { buffers } = backend.memory;
  const prepared = await bank.prepare(adapter);
  const ways = {
    'use one': () => bank.use('it'),
    weights: () => bank.use({ it: -0.5 }),
    'base alone': () => bank.use(),
    'hot swap, prepared': () => bank.put('it', prepared),
  };
  const results = [];
  try {
    for (const [name, act] of Object.entries(ways)) {
      const samples = [];
      for (let time = 0; time < loads; time++) {
        [uploading, bytes] = [0, 0];
        const start = performance.now();
        act();
        const whole = performance.now() - start;
        samples.push({ whole, upload: uploading, bytes });
        await step();
      }
      results.push({
        name,
        msHost: summarize(samples.map(({ whole, upload }) => whole - upload)),
        msUpload: median(samples.map(({ upload }) => upload)),
        bytes: samples[0].bytes,
      });
    }
    const preparing = [];
    for (let time = 0; time < loads; time++) preparing.push(await timed(() => bank.prepare(adapter))());
    return { ways: results, msPrepare: median(preparing), plans, buffers: backend.memory.buffers - buffers };
  } finally {
    Object.assign(backend, { write, prepare });
  }
}
