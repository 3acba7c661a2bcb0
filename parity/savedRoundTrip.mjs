// Trains adapters with modules saved whole, token rows and LoRA on the output projection, has real PEFT load each, and compares logits; merged folders are read by transformers alone.
//
//   LOWRANK_PYTHON=python3 node parity/savedRoundTrip.mjs     (after a build)
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createCpuBackend } from '../packages/cpu/dist/index.js';
import { readTokenizer } from '../packages/data/dist/index.js';
import { readAdapter } from '../packages/lora/dist/index.js';
import { loadModel, openFolder, readJson, requireFile } from '../packages/models/dist/index.js';
import { fineTune, mergeFolders } from '../packages/lowrank/dist/node.js';
import { attachAdapter } from '../packages/patch/dist/index.js';
import { compile, reshape } from '../packages/tensor/dist/index.js';

const python = process.env['LOWRANK_PYTHON'] ?? 'python3';
const here = fileURLToPath(new URL('.', import.meta.url));
const cases = [
  ['llama/untied', { modulesToSave: ['lm_head', 'norm'] }],
  ['llama/untied', { trainableTokens: [5, 9, 21], modulesToSave: ['model.norm'] }],
  ['llama/untied', { targetModules: ['q_proj', 'lm_head'] }],
  ['llama/tied', { modulesToSave: ['embed_tokens'] }],
  ['llama/tied', { modulesToSave: ['lm_head'] }],
  ['llama/tied', { modulesToSave: ['lm_head'], ensureWeightTying: true }],
  ['llama/tied', { trainableTokens: [5, 9, 21] }],
  ['llama/tied', { targetModules: ['v_proj', 'lm_head'] }],
  ['gpt/gpt2', { targetModules: ['c_attn'], trainableTokens: [5, 9], modulesToSave: ['h.0.mlp.c_fc', 'ln_f'] }],
];

const backend = await createCpuBackend();
const work = mkdtempSync(join(tmpdir(), 'lowrank-parity-'));

async function logitsOf(folder, adapter) {
  const model = await loadModel(await openFolder(folder));
  if (adapter !== undefined) {
    const files = await openFolder(adapter);
    await attachAdapter(model, await readAdapter({ config: await readJson(files, 'adapter_config.json'), weights: await requireFile(files, 'adapter_model.safetensors'), name: adapter }), { outputPath: model.outputPath });
  }
  const ids = Int32Array.from((await readTokenizer(folder)).encode('name: ada | town: rome\nada of rome is a baker and has 3 cats.'));
  const step = compile(backend, (inputs) => ({ logits: model.logits(reshape(model.hidden(inputs.ids, { positions: inputs.positions }), [ids.length, model.shape.hiddenSize])) }));
  const shape = [1, ids.length];
  const flat = Array.from(await (await step.run({ ids: { data: ids, shape }, positions: { data: ids.map((_, at) => at), shape } })).logits);
  await step.dispose();
  model.dispose();
  const width = model.shape.vocabularySize;
  return { ids: [Array.from(ids)], logits: [Array.from(ids, (_, at) => flat.slice(at * width, (at + 1) * width))] };
}

let failed = 0;
for (const [at, [base, flags]] of cases.entries()) {
  const model = join(here, 'golden', base);
  const [adapter, merged] = [join(work, `adapter${at}`), join(work, `merged${at}`)];
  await fineTune({ backend, model, data: join(here, 'golden/llama/train/rows.jsonl'), output: adapter, steps: 5, batchSize: 4, learningRate: 1e-2, r: 3, alpha: 6, targetModules: ['q_proj'], ...flags });
  writeFileSync(join(work, 'logits.json'), JSON.stringify(await logitsOf(model, adapter)));
  await mergeFolders({ model, adapter, output: merged });
  const ours = JSON.parse(JSON.stringify(await logitsOf(model, adapter)));
  const alone = await logitsOf(merged);
  const apart = Math.max(...ours.logits[0].flatMap((row, r) => row.map((value, c) => Math.abs(value - alone.logits[0][r][c]))));
  const run = (extra) => spawnSync(python, [join(here, 'checkAdapter.py'), ...extra, '--logits', join(work, 'logits.json')], { encoding: 'utf8' });
  const loaded = run(['--model', model, '--adapter', adapter]);
  const whole = run(['--model', merged, '--plain']);
  const told = (run) => { try { return JSON.parse(run.stdout.trim().split('\n').at(-1)); } catch { return { ok: false, error: run.stderr }; } };
  const [a, b] = [told(loaded), told(whole)];
  if (!a.ok || !b.ok || apart > 1e-4) failed++;
  console.log(`${base} ${JSON.stringify(flags)}: adapter in PEFT ${a.logits?.maxError.toExponential(1) ?? a.error}, merged folder in transformers ${b.logits?.maxError.toExponential(1) ?? b.error}, merged here ${apart.toExponential(1)}`);
}
backend.dispose();
rmSync(work, { recursive: true });
console.log(failed === 0 ? 'all agree' : `${failed} do not agree`);
process.exitCode = failed === 0 ? 0 : 1;
