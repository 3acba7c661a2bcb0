/**
 * `node bench/gpuTable.mjs [--out FOLDER] [--tiny] [--software] [--limit SECONDS]`: the time of training steps on a
 * GPU, LoRA and QLoRA (r = 8 on all linear layers), in f32 and mixed, of published shapes: no weights are needed
 * (`profileFineTune`). Beside them PyTorch + PEFT, eager, in bf16, where a Python with torch is found. Every row is a
 * process of its own, which a limit ends: a driver that compiles for an hour, or never returns, costs its row alone.
 * Writes table.md and table.json. `--tiny` takes a model of one layer and few tokens, to see that all of it works.
 * `--tiers` prints the tiers that the adapter reaches instead. `bench/gpu.sh` calls both. Build first.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { adapterName, createWebgpuBackend, listAdapters, tiers } from '@lowrank/webgpu';
import { profileFineTune } from 'lowrank/node';
import { importSource } from '../scripts/lib/importSource.mjs';
import { root } from '../scripts/lib/paths.mjs';
import { findPython } from './lib/pytorch.mjs';
import { startedWithDriver } from './lib/startedWithDriver.mjs';

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: 'bench/results/gpu' },
    tiny: { type: 'boolean', default: false },
    software: { type: 'boolean', default: false },
    limit: { type: 'string', default: '900' },
    tiers: { type: 'boolean', default: false },
    // Of the processes that it starts: a row as JSON.
    row: { type: 'string' },
  },
});
const limit = Number(values.limit);
if (!(limit > 0)) throw new Error(`--limit ${values.limit}: expected seconds`);

const shapes = values.tiny
  ? [{ name: 'SmolLM2-135M', layers: 1, vocabulary: 1024, batchSize: 1, maxLength: 16 }]
  : [
      { name: 'SmolLM2-135M', batchSize: 8, maxLength: 512 },
      { name: 'Qwen2.5-0.5B', batchSize: 4, maxLength: 512 },
      { name: 'Llama-3.2-1B', batchSize: 2, maxLength: 512 },
    ];

/** The adapter to measure, or undefined. */
async function findAdapter() {
  const adapters = await listAdapters().catch(() => []);
  return adapters.find(({ software }) => !software) ?? (values.software ? adapters[0] : undefined);
}

/** The tiers that a device can be opened in; `registers` is for software alone. */
async function tiersOf(adapter) {
  const reached = [];
  for (const tier of tiers) {
    if (tier === 'registers' && !adapter.software) continue;
    const backend = await createWebgpuBackend({ tier }).catch(() => undefined);
    if (backend !== undefined) reached.push(tier);
    backend?.dispose();
  }
  return reached;
}

/** A config.json of the shape, for both sides. */
async function configFile({ name, layers, vocabulary }, folder) {
  const { commonConfigs } = await importSource('packages/lowrank/src/jobs/planning/commonConfigs.ts');
  const config = {
    ...commonConfigs[name],
    ...(layers && { num_hidden_layers: layers }),
    ...(vocabulary && { vocab_size: vocabulary }),
  };
  const file = join(folder, `${name}.config.json`);
  writeFileSync(file, JSON.stringify(config));
  return file;
}

/** The shortest of three steps, in this process. */
async function measure({ config, method, precision, batchSize, maxLength }) {
  const backend = await createWebgpuBackend({ precision });
  const run = { config, method, batchSize, maxLength, targetModules: 'all-linear', r: 8, repeats: 3, backend };
  const { report } = await profileFineTune(run);
  return { ms: report.step_ms, launches: report.launches, peak: backend.memory.peakBytes, report };
}

/** @returns {{ ms: number } | { reason: string }} */
function ours(row) {
  return lastLineOf(process.execPath, [fileURLToPath(import.meta.url), '--row', JSON.stringify(row)]);
}

/** @returns {{ ms: number } | { reason: string }} */
function pytorch(python, { batchSize, maxLength }, config) {
  return lastLineOf(python, [join(root, 'bench/lib/pytorchShape.py'), config, String(batchSize), String(maxLength)]);
}

/** What a program says in its last line, in JSON, or why it said nothing. */
function lastLineOf(program, args) {
  const { status, signal, error, stdout, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    timeout: 1000 * limit,
    killSignal: 'SIGKILL',
  });
  if (error?.code === 'ETIMEDOUT') return { reason: `it took longer than ${limit} s (--limit)` };
  if (status === 0) return JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
  return { reason: stderr.trim().split('\n').at(-1) || `it ended with ${signal ?? `exit code ${status}`}` };
}

if (await startedWithDriver()) process.exit();
if (values.row !== undefined) {
  const found = await measure(JSON.parse(values.row)).catch((error) => ({ reason: messageOf(error) }));
  await new Promise((resolve) => process.stdout.write(`${JSON.stringify(found)}\n`, resolve));
  process.exit();
}
const adapter = await findAdapter();
if (values.tiers) {
  console.log(adapter === undefined ? '' : (await tiersOf(adapter)).join(' '));
  process.exit(0);
}
if (adapter === undefined) {
  console.log('not run: there is no GPU here');
  process.exit(0);
}
mkdirSync(values.out, { recursive: true });
const found = await findPython();
const rows = [];
console.error(`${adapterName(adapter)}; at most ${limit} s for a row`);
for (const shape of shapes) {
  const config = await configFile(shape, values.out);
  const torch = found.python === undefined ? found : pytorch(found.python, shape, config);
  const size = { shape: shape.name, batch: `${shape.batchSize}×${shape.maxLength}` };
  keep({ ...size, method: 'lora', precision: 'bf16', who: 'PyTorch + PEFT', ...torch });
  for (const method of ['lora', 'qlora'])
    for (const precision of ['f32', 'mixed'])
      keep({ ...size, method, precision, who: 'Lowrank', ...ours({ ...shape, config, method, precision }) });
}
console.log(tableOf(rows));
process.exit(
  rows.some(({ who, ms, precision }) => who === 'Lowrank' && precision === 'f32' && ms === undefined) ? 1 : 0,
);

/** Writes what there is so far: a run that is cut short keeps it. */
function keep(row) {
  rows.push(row);
  console.error(cellsOf(row).join(', '));
  writeFileSync(join(values.out, 'table.md'), tableOf(rows));
  writeFileSync(join(values.out, 'table.json'), `${JSON.stringify({ adapter, rows }, null, 1)}\n`);
}

function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}

function cellsOf({ shape, batch, method, precision, who, ms, reason, device }) {
  return [
    shape,
    batch,
    method,
    precision,
    who + (device === undefined ? '' : `, ${device}`),
    ms === undefined ? `not run: ${reason?.split('\n')[0]}` : `${ms.toFixed(1)} ms`,
  ];
}

function tableOf(some) {
  const head = ['shape', 'batch', 'method', 'precision', 'who', 'a step'];
  const lines = [head, head.map(() => '---'), ...some.map(cellsOf)].map((row) => `| ${row.join(' | ')} |`);
  return `${adapterName(adapter)}\n\n${lines.join('\n')}\n`;
}
