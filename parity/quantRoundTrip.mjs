// Quantizes a model with Lowrank for transformers + bitsandbytes to load, and loads what they quantize, comparing
// logits: `node parity/quantRoundTrip.mjs MODEL` after a build. Needs a Python with bitsandbytes (LOWRANK_PYTHON, else
// python3).
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createCpuBackend } from '../packages/cpu/dist/index.js';
import { loadCausalModel, openFolder } from '../packages/models/dist/index.js';
import { quantizeFolder } from '../packages/lowrank/dist/node.js';
import { compile, reshape } from '../packages/tensor/dist/index.js';

const [modelFolder] = process.argv.slice(2);
if (modelFolder === undefined) throw new Error('usage: node parity/quantRoundTrip.mjs MODEL');
const script = fileURLToPath(new URL('quantRoundTrip.py', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'lowrank-quant-'));
const backend = await createCpuBackend();
const ids = Int32Array.from({ length: 24 }, (_, at) => 3 + ((at * 37) % 80));
const tolerance = 1e-3;

function python(args) {
  const { status, stdout } = spawnSync(process.env['LOWRANK_PYTHON'] ?? 'python3', [script, ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    maxBuffer: 2 ** 28,
  });
  return { ok: status === 0, answer: JSON.parse(stdout.trim().split('\n').at(-1)) };
}

async function logitsOf(folder) {
  const model = await loadCausalModel(await openFolder(folder));
  const shape = [1, ids.length];
  const step = compile(backend, (inputs) => ({
    logits: model.logits(
      reshape(model.hidden(inputs.ids, { positions: inputs.positions }), [ids.length, model.shape.hiddenSize]),
    ),
  }));
  const { logits } = await step.run({ ids: { data: ids, shape }, positions: { data: ids.map((_, at) => at), shape } });
  const flat = Array.from(await logits);
  await step.dispose();
  return Array.from(ids, (_, at) => flat.slice((at * flat.length) / ids.length, ((at + 1) * flat.length) / ids.length));
}

const idsFile = join(work, 'ids.json');
writeFileSync(idsFile, JSON.stringify([Array.from(ids)]));
let failed = 0;
for (const [name, type, doubleQuantization] of [
  ['nf4', 'nf4', false],
  ['nf4 double', 'nf4', true],
  ['fp4', 'fp4', false],
  ['int8', 'int8', false],
]) {
  const ours = join(work, 'ours');
  await quantizeFolder({
    model: modelFolder,
    output: ours,
    type,
    ...(doubleQuantization ? { doubleQuantization } : {}),
  });
  writeFileSync(join(work, 'logits.json'), JSON.stringify({ ids: [Array.from(ids)], logits: [await logitsOf(ours)] }));
  const loaded = python(['--model', ours, '--logits', join(work, 'logits.json')]);
  const theirs = join(work, 'theirs');
  const made = python([
    '--model',
    modelFolder,
    '--make',
    theirs,
    '--type',
    type,
    ...(doubleQuantization ? ['--double'] : []),
    '--ids',
    idsFile,
  ]);
  const mine = (await logitsOf(theirs)).flat();
  const worst = Math.max(
    ...made.answer.logits[0].flat().map((value, at) => Math.abs(value - mine[at]) / Math.max(1, Math.abs(value))),
  );
  console.log(
    `${name}: ours in transformers ${loaded.ok ? 'agrees' : 'DIFFERS'} (worst ${loaded.answer.worst}), ` +
      `theirs here ${worst <= tolerance ? 'agrees' : 'DIFFERS'} (worst ${worst})`,
  );
  if (!loaded.ok || !(worst <= tolerance)) failed++;
  for (const folder of [ours, theirs]) rmSync(folder, { recursive: true });
}
backend.dispose();
rmSync(work, { recursive: true });
process.exitCode = failed === 0 ? 0 : 1;
