/**
 * `node bench/costModel.mjs [--device cpu|webgpu] [--write]`: measures training steps of small made-up models on the
 * CPU, or on lavapipe (`LOWRANK_VK=lavapipe`, or `VK_DRIVER_FILES` names it), fits the model of `lowrank plan --on` to
 * them, and prints of each step what was measured, what the model says that was fitted to the others, and how far that
 * is off. `--write` keeps the figures in results/costModel.json; `node scripts/generate.mjs` makes the table from them
 * that the command prints. Build first.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createCpuBackend } from '@lowrank/cpu';
import { createWebgpuBackend } from '@lowrank/webgpu';
import { profileFineTune } from 'lowrank/node';
import { root } from '../scripts/lib/paths.mjs';
import { fitEfficiency, leaveOneOut } from './lib/costFit.mjs';
import { machine, versions } from './lib/environment.mjs';
import { table } from './lib/report/table.mjs';
import { startedWithDriver } from './lib/startedWithDriver.mjs';
import { median } from './lib/statistics.mjs';

const { values } = parseArgs({
  options: {
    device: { type: 'string', default: 'cpu' },
    threads: { type: 'string', default: '1' },
    repeats: { type: 'string', default: '5' },
    write: { type: 'boolean', default: false },
  },
});
for (const name of ['threads', 'repeats'])
  if (!(Number.isInteger(Number(values[name])) && Number(values[name]) >= 1))
    throw new Error(`--${name} ${values[name]}: expected a whole number of at least 1`);
const kept = join(root, 'bench/results/costModel.json');

const models = {
  narrow: { hidden_size: 256, intermediate_size: 704, num_attention_heads: 4, num_key_value_heads: 4 },
  middle: { hidden_size: 576, intermediate_size: 1536, num_attention_heads: 9, num_key_value_heads: 3 },
  wide: { hidden_size: 1024, intermediate_size: 2816, num_attention_heads: 16, num_key_value_heads: 8 },
};
const common = { model_type: 'llama', num_hidden_layers: 2, vocab_size: 4096, max_position_embeddings: 1024 };

/** Widths, lengths and methods differ, so that a step is unlike those that the model is fitted to. */
const steps = {
  cpu: [
    { model: 'narrow', method: 'lora', batchSize: 4, maxLength: 128 },
    { model: 'narrow', method: 'full', batchSize: 2, maxLength: 256 },
    { model: 'narrow', method: 'qlora', batchSize: 1, maxLength: 512 },
    { model: 'middle', method: 'lora', batchSize: 2, maxLength: 128 },
    { model: 'middle', method: 'qlora', batchSize: 2, maxLength: 128 },
    { model: 'middle', method: 'lora', batchSize: 1, maxLength: 512 },
    { model: 'wide', method: 'lora', batchSize: 1, maxLength: 128 },
    { model: 'wide', method: 'qlora', batchSize: 1, maxLength: 256 },
  ],
  // A software adapter takes a second for a step.
  webgpu: [
    { model: 'narrow', method: 'lora', batchSize: 2, maxLength: 128 },
    { model: 'narrow', method: 'full', batchSize: 1, maxLength: 256 },
    { model: 'narrow', method: 'qlora', batchSize: 1, maxLength: 256 },
    { model: 'narrow', method: 'lora', batchSize: 1, maxLength: 512 },
    { model: 'middle', method: 'lora', batchSize: 1, maxLength: 256 },
    { model: 'middle', method: 'qlora', batchSize: 2, maxLength: 128 },
  ],
}[values.device];
if (steps === undefined) throw new Error(`--device ${values.device}: expected cpu or webgpu`);

/** @returns {Promise<import('./lib/costFit.mjs').MeasuredStep>} */
async function measure({ model, ...step }, { folder, backend }) {
  const config = join(folder, `${model}.json`);
  writeFileSync(config, JSON.stringify({ ...common, ...models[model] }));
  const repeats = Number(values.repeats);
  const { report } = await profileFineTune({ ...step, config, targetModules: 'all-linear', repeats, backend });
  const { step_ms, probes, groups } = report;
  console.error(`${model} ${step.method} ${step.batchSize}×${step.maxLength}: ${step_ms.toFixed(1)} ms`);
  return {
    name: `${models[model].hidden_size} wide, ${step.method}, ${step.batchSize}×${step.maxLength}`,
    step_ms,
    launch_ms: 1000 * probes.launch_seconds,
    groups,
  };
}

function print({ device, error, efficiency, steps: rows }) {
  const cells = rows.map((row) => [
    row.name,
    row.measured.toFixed(1),
    row.predicted.toFixed(1),
    `${row.error < 0 ? '−' : '+'}${percent(Math.abs(row.error))}`,
  ]);
  console.log(table([['a step of a model of two layers', 'measured, ms', 'expected, ms', 'off by'], ...cells]));
  console.log(`\n${device}: off by ${percent(error.median)} (median), ${percent(error.most)} (at most)`);
  console.log(table([['group', 'of the rates'], ...Object.entries(efficiency).map(([name, e]) => [name, percent(e)])]));
}

/** Beside what other kinds of devices gave. */
function keep(found) {
  const known = JSON.parse(readFileSync(kept, 'utf8'));
  const kind = values.device === 'cpu' ? 'cpu' : 'software';
  writeFileSync(kept, `${JSON.stringify({ ...known, [kind]: found }, null, 1)}\n`);
}

function percent(share) {
  return `${(100 * share).toFixed(0)}%`;
}

function rounded(value) {
  return Number(value.toPrecision(3));
}

async function main() {
  if (await startedWithDriver()) return;
  const folder = mkdtempSync(join(tmpdir(), 'lowrank-cost-'));
  const backend =
    values.device === 'cpu' ? await createCpuBackend({ threads: Number(values.threads) }) : await createWebgpuBackend();
  try {
    if (values.write && values.device === 'webgpu' && !backend.description.includes('llvmpipe'))
      throw new Error(
        `--write on ${backend.description}: what the command prints of a GPU in software is lavapipe's. Leave out ` +
          '--write, or set LOWRANK_VK=lavapipe.',
      );
    const measured = [];
    for (const step of steps) measured.push(await measure(step, { folder, backend }));
    const checked = leaveOneOut(measured);
    const errors = checked.map(({ error }) => Math.abs(error));
    const efficiency = fitEfficiency(measured);
    const found = {
      date: new Date().toISOString().slice(0, 10),
      device: `${backend.name}, ${backend.description}`,
      machine: machine(),
      versions: versions(),
      runs: measured.length,
      error: { median: rounded(median(errors)), most: rounded(Math.max(...errors)) },
      efficiency: Object.fromEntries(Object.entries(efficiency).map(([group, share]) => [group, rounded(share)])),
      steps: checked,
    };
    print(found);
    if (values.write) keep(found);
  } finally {
    backend.dispose();
    rmSync(folder, { recursive: true });
  }
}

await main();
