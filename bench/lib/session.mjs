import { loraConfig } from '@lowrank/lora';
import { loadCausalModel, openFolder } from '@lowrank/models';
import { activateAdapter, addAdapter } from '@lowrank/patch';
import { compile } from '@lowrank/tensor';
import { planCost } from '@lowrank/tensor/backend';
import { createTrainStep } from '@lowrank/trainer';
import { recipe } from './workload.mjs';

/**
 * A model under training on one device, with what a user does not see: its plans, what making them took, and its
 * memory.
 *
 * @typedef {object} Session
 * @property {(batch: import('@lowrank/data').TokenBatch) => Promise<number>} step one optimizer step; the loss
 * @property {(batches: readonly import('@lowrank/data').TokenBatch[]) => Promise<void>} pipelined steps that nobody
 * waits for until the last, as `train` runs them
 * @property {(batch: import('@lowrank/data').TokenBatch) => import('@lowrank/tensor/backend').PlanCost} cost of a
 * batch's plan
 * @property {{ traceAndPlan: number, prepare: number, plans: number }} compile milliseconds: tracing and planning; the
 * backend's part (pipelines, bindings)
 * @property {() => Promise<Forward>} forward
 * @property {() => { peakBytes: number, bytes: number }} memory of the backend
 * @property {() => Promise<void>} dispose
 *
 * @typedef {object} Forward the loss alone, of the frozen base and with the adapter
 * @property {(batch: import('@lowrank/data').TokenBatch) => Promise<void>} base
 * @property {(batch: import('@lowrank/data').TokenBatch) => Promise<void>} adapted
 * @property {{ base: number, adapted: number }} flops
 * @property {() => Promise<void>} dispose
 */

/**
 * @param {import('./devices.mjs').Device} device
 * @param {import('./workload.mjs').Workload} workload
 * @param {readonly import('@lowrank/data').TokenBatch[]} batches everything that will be run, so that no plan is made
 * later
 * @returns {Promise<Session>}
 */
export async function openSession(device, workload, batches) {
  const backend = await device.open();
  const watch = watchPlans(backend);
  const model = await loadCausalModel(await openFolder(workload.model));
  const { parameters } = await addAdapter(model, loraConfig({ r: recipe.r, targetModules: recipe.targetModules }));
  const step = await createTrainStep({ backend, loss: (batch) => model.loss(batch), parameters, clip: recipe.clip });

  const plans = new Map();
  const started = performance.now();
  for (const batch of [...batches].sort((a, b) => sizeOf(b) - sizeOf(a))) {
    if (plans.has(shapeOf(batch))) continue;
    await step.prepare([batch]);
    plans.set(shapeOf(batch), planCost(watch.last()));
  }
  const whole = performance.now() - started;
  const run = async (batch) => step.run([batch], recipe.learningRate);
  return {
    step: async (batch) => (await run(batch)).loss,
    async pipelined(list) {
      const losses = [];
      for (const batch of list) losses.push((await run(batch)).loss);
      await Promise.all(losses);
    },
    cost: (batch) => plans.get(shapeOf(batch)),
    compile: { traceAndPlan: whole - watch.milliseconds, prepare: watch.milliseconds, plans: plans.size },
    forward: () => openForward(backend, model, watch, batches[0]),
    memory: () => ({ peakBytes: backend.memory.peakBytes, bytes: backend.memory.bytes }),
    async dispose() {
      await step.dispose({ weights: true });
      for (const [, { tensor }] of model.namedParameters()) tensor.dispose();
      backend.dispose();
    },
  };
}

const shapeOf = ({ batch, length }) => `${batch}×${length}`;
const sizeOf = ({ batch, length }) => batch * length;

/** @returns {Promise<Forward>} */
async function openForward(backend, model, watch, batch) {
  const specs = Object.fromEntries(
    Object.entries(batch.inputs).map(([name, { shape }]) => [name, { shape, dtype: 'i32' }]),
  );
  const open = async (fn) => {
    const compiled = compile(backend, (inputs) => ({ loss: fn(inputs) }));
    await compiled.prepare(specs);
    return {
      compiled,
      flops: planCost(watch.last()).flops,
      run: async (of) => void (await (await compiled.run(of.inputs)).loss),
    };
  };
  const base = await open((inputs) => activateAdapter(model, [], () => model.loss(inputs)));
  const adapted = await open((inputs) => model.loss(inputs));
  return {
    base: base.run,
    adapted: adapted.run,
    flops: { base: base.flops, adapted: adapted.flops },
    async dispose() {
      await base.compiled.dispose();
      await adapted.compiled.dispose();
    },
  };
}

/** Sees each plan as the backend gets it: the trainer keeps its own to itself. */
function watchPlans(backend) {
  const prepare = backend.prepare.bind(backend);
  let last;
  const watch = { milliseconds: 0, last: () => last };
  backend.prepare = async (plan, buffers) => {
    last = plan;
    const start = performance.now();
    const executable = await prepare(plan, buffers);
    watch.milliseconds += performance.now() - start;
    return executable;
  };
  return watch;
}
