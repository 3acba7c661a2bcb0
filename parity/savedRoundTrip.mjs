// Trains adapters with modules saved whole, token rows and LoRA on the output projection, has real PEFT load each, and
// compares logits; merged folders are read by transformers alone.
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
import { loadCausalModel, openFolder, readJson, requireFile } from '../packages/models/dist/index.js';
import { fineTuneFolder, mergeFolders } from '../packages/lowrank/dist/node.js';
import { loadAdapter } from '../packages/patch/dist/index.js';
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
  const model = await loadCausalModel(await openFolder(folder));
  if (adapter !== undefined) {
    const files = await openFolder(adapter);
    await loadAdapter(
      model,
      await readAdapter({
        config: await readJson(files, 'adapter_config.json'),
        weights: await requireFile(files, 'adapter_model.safetensors'),
        name: adapter,
      }),
    );
  }
  const ids = Int32Array.from(
    (await readTokenizer(folder)).encode('name: ada | town: rome\nada of rome is a baker and has 3 cats.'),
  );
  const step = compile(backend, (inputs) => ({
    logits: model.logits(
      reshape(model.hidden(inputs.ids, { positions: inputs.positions }), [ids.length, model.shape.hiddenSize]),
    ),
  }));
  const shape = [1, ids.length];
  const flat = Array.from(
    await (
      await step.run({ ids: { data: ids, shape }, positions: { data: ids.map((_, at) => at), shape } })
    ).logits,
  );
  await step.dispose();
  model.dispose();
  const width = model.shape.vocabularySize;
  return { ids: [Array.from(ids)], logits: [Array.from(ids, (_, at) => flat.slice(at * width, (at + 1) * width))] };
}

const jobs = [];
for (const [at, [base, flags]] of cases.entries()) {
  const model = join(here, 'golden', base);
  const [adapter, merged, logits] = [
    join(work, `adapter${at}`),
    join(work, `merged${at}`),
    join(work, `logits${at}.json`),
  ];
  await fineTuneFolder({
    backend,
    model,
    data: join(here, 'golden/llama/train/rows.jsonl'),
    output: adapter,
    steps: 5,
    batchSize: 4,
    learningRate: 1e-2,
    r: 3,
    alpha: 6,
    targetModules: ['q_proj'],
    ...flags,
  });
  const adapted = await logitsOf(model, adapter);
  writeFileSync(logits, JSON.stringify(adapted));
  await mergeFolders({ model, adapter, output: merged });
  const alone = await logitsOf(merged);
  const apart = Math.max(
    ...adapted.logits[0].flatMap((row, r) => row.map((value, c) => Math.abs(value - alone.logits[0][r][c]))),
  );
  jobs.push({ name: `${base} ${JSON.stringify(flags)}`, model, adapter, merged, logits, mergedHere: apart });
}
backend.dispose();
writeFileSync(join(work, 'jobs.json'), JSON.stringify(jobs));
const { status } = spawnSync(python, [join(here, 'savedRoundTrip.py'), join(work, 'jobs.json')], { stdio: 'inherit' });
rmSync(work, { recursive: true });
process.exitCode = status ?? 1;
