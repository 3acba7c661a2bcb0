// Trains an adapter with Lowrank and has real PEFT load it: `node parity/roundTrip.mjs MODEL DATA.jsonl` after a build.
// Needs a Python with PEFT (LOWRANK_PYTHON, else python3).
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createCpuBackend } from '../packages/cpu/dist/index.js';
import { readTokenizer } from '../packages/data/dist/index.js';
import { readAdapter } from '../packages/lora/dist/index.js';
import { loadCausalModel, openFolder, readJson, requireFile } from '../packages/models/dist/index.js';
import { fineTuneFolder, mergeFolders } from '../packages/lowrank/dist/node.js';
import { loadAdapter } from '../packages/patch/dist/index.js';
import { compile, reshape } from '../packages/tensor/dist/index.js';

const [modelFolder, data] = process.argv.slice(2);
if (modelFolder === undefined || data === undefined)
  throw new Error('usage: node parity/roundTrip.mjs MODEL DATA.jsonl');
const python = process.env['LOWRANK_PYTHON'] ?? 'python3';
const check = fileURLToPath(new URL('checkAdapter.py', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'lowrank-parity-'));
const backend = await createCpuBackend();
const adapterFolder = join(work, 'adapter');
const { final_loss: loss } = await fineTuneFolder({
  backend,
  model: modelFolder,
  data,
  output: adapterFolder,
  steps: 20,
  batchSize: 8,
  learningRate: 2e-3,
  clip: 1,
  r: 8,
  alpha: 16,
  targetModules: ['all-linear'],
});

const model = await loadCausalModel(await openFolder(modelFolder));
const files = await openFolder(adapterFolder);
await loadAdapter(
  model,
  await readAdapter({
    config: await readJson(files, 'adapter_config.json'),
    weights: await requireFile(files, 'adapter_model.safetensors'),
    name: adapterFolder,
  }),
);
const tokenizer = await readTokenizer(modelFolder);
const ids = Int32Array.from(
  tokenizer.encode('Once upon a time, there was a little girl named Lily. She loved to play outside in the park.'),
);
const shape = [1, ids.length];
const step = compile(backend, (inputs) => ({
  logits: model.logits(
    reshape(model.hidden(inputs.ids, { positions: inputs.positions }), [ids.length, model.shape.hiddenSize]),
  ),
}));
const { logits } = await step.run({ ids: { data: ids, shape }, positions: { data: ids.map((_, at) => at), shape } });
const flat = Array.from(await logits);
const width = model.shape.vocabularySize;
const rows = Array.from(ids, (_, at) => flat.slice(at * width, (at + 1) * width));
writeFileSync(join(work, 'logits.json'), JSON.stringify({ ids: [Array.from(ids)], logits: [rows] }));
await mergeFolders({ model: modelFolder, adapter: adapterFolder, output: join(work, 'merged') });
await step.dispose();
backend.dispose();

console.log(`trained 20 steps, final loss ${loss}`);
const { status } = spawnSync(
  python,
  [
    check,
    '--model',
    modelFolder,
    '--adapter',
    adapterFolder,
    '--logits',
    join(work, 'logits.json'),
    '--merged',
    join(work, 'merged'),
  ],
  { stdio: 'inherit' },
);
rmSync(work, { recursive: true });
process.exitCode = status ?? 1;
