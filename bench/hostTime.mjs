/**
 * `node bench/hostTime.mjs --model FOLDER [--batch-size 4] [--length 64] [--steps 200] [--cpu-profile FILE]` What the
 * host does in a training step (LoRA r = 8 on all linear layers) on WebGPU: processor time of this process for each
 * step, and wall time, medians of five parts. On a driver that does no work (../shared/gpu-judges, chip m1) that is all
 * there is; elsewhere the wall time is the device's. Build first.
 */
import { Session } from 'node:inspector/promises';
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { padBatch } from '@lowrank/data';
import { loraConfig } from '@lowrank/lora';
import { loadCausalModel, openFolder } from '@lowrank/models';
import { addAdapter } from '@lowrank/patch';
import { createTrainStep } from '@lowrank/trainer';
import { createWebgpuBackend } from '@lowrank/webgpu';

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    'batch-size': { type: 'string', default: '4' },
    length: { type: 'string', default: '64' },
    steps: { type: 'string', default: '200' },
    'cpu-profile': { type: 'string' },
  },
});
if (values.model === undefined) throw new Error('--model names a folder');
const [rows, length, steps] = [values['batch-size'], values.length, values.steps].map(Number);

/** Rows of made-up tokens: no number is looked at. */
const ids = Int32Array.from({ length }, (_, at) => (at * 7) % 100);
const row = (line) => ({ line, ids, labels: ids, labelTokens: length - 1, fullLength: length, promptIsPrefix: true });
const batch = padBatch(Array.from({ length: rows }, (_, at) => row(at + 1)));

const backend = await createWebgpuBackend();
const model = await loadCausalModel(await openFolder(values.model));
const { parameters } = await addAdapter(model, loraConfig({ r: 8, targetModules: 'all-linear' }));
const step = await createTrainStep({ backend, loss: (inputs) => model.loss(inputs), parameters, clip: 1 });
await step.prepare([batch]);

/** Runs steps as training does: the numbers of one are awaited while the next is on its way. */
async function run(count) {
  let last;
  for (let at = 0; at < count; at++) {
    const { loss } = await step.run([batch], 1e-4);
    await last;
    last = loss;
  }
  await last;
}

await run(20);
const dispatches = backend.device.counters.dispatches;
await run(1);
const perStep = backend.device.counters.dispatches - dispatches;
const session = values['cpu-profile'] === undefined ? undefined : new Session();
if (session !== undefined) {
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.setSamplingInterval', { interval: 100 });
  await session.post('Profiler.start');
}
const parts = [];
for (let part = 0; part < 5; part++) {
  const [cpu, wall] = [process.cpuUsage(), performance.now()];
  await run(steps / 5);
  const { user, system } = process.cpuUsage(cpu);
  parts.push({ cpu: (user + system) / 1000 / (steps / 5), wall: (performance.now() - wall) / (steps / 5) });
}
if (session !== undefined)
  writeFileSync(values['cpu-profile'], JSON.stringify((await session.post('Profiler.stop')).profile));
const median = (of) =>
  parts
    .map(of)
    .sort((a, b) => a - b)[2]
    .toFixed(2);
console.log(
  `${backend.description}: ${perStep} dispatches a step; host ${median(({ cpu }) => cpu)} ms of processor time, ` +
    `${median(({ wall }) => wall)} ms of wall time`,
);
await step.dispose({ weights: true });
backend.dispose();
