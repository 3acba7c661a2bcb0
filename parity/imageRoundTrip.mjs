// Trains image classifiers by LoRA and its variants and has real PEFT load each adapter, then has PEFT change and save
// them and loads those: logits on twelve images, both ways, within 1e-4. Merged folders are read by transformers alone.
//
//   LOWRANK_PYTHON=python3 node parity/imageRoundTrip.mjs     (after a build)
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createCpuBackend } from '../packages/cpu/dist/index.js';
import { fineTuneFolder, mergeFolders, predictFolder } from '../packages/lowrank/dist/node.js';

const python = process.env['LOWRANK_PYTHON'] ?? 'python3';
const here = fileURLToPath(new URL('.', import.meta.url));
const home = join(here, 'golden/imageTask');
const data = join(home, 'rows.jsonl');
const bound = 1e-4;
/** How the processor of each family squares its images. */
const processors = {
  vit: { image_processor_type: 'ViTImageProcessor', size: { height: 8, width: 12 } },
  dinov2: {
    image_processor_type: 'BitImageProcessor',
    size: { shortest_edge: 14 },
    crop_size: { height: 12, width: 12 },
  },
  siglip: { image_processor_type: 'SiglipImageProcessor', size: { height: 12, width: 12 } },
};
const cases = [
  ['vit', {}],
  ['vit', { targetModules: 'all-linear', useDora: true }],
  ['dinov2', { targetModules: 'all-linear', useRslora: true }],
  ['dinov2', { targetModules: ['k_proj', 'fc1'] }],
  ['siglip', { targetModules: 'all-linear', loraBias: true }],
];

const backend = await createCpuBackend();
const work = mkdtempSync(join(tmpdir(), 'lowrank-images-'));
// PEFT's folders say nothing of labels, so what is asked has none.
const asked = join(work, 'asked.jsonl');
const rows = readFileSync(data, 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line).image);
writeFileSync(asked, rows.map((image) => JSON.stringify({ image: join(home, image) })).join('\n'));
const logitsOf = async (place) => {
  const said = await predictFolder({ ...place, task: 'image-classification', data: asked, backend });
  return said.map(({ logits }) => logits);
};
const apart = (a, b) => Math.max(...a.flatMap((row, at) => row.map((value, c) => Math.abs(value - b[at][c]))));

const jobs = [];
for (const [at, [family, flags]] of cases.entries()) {
  const [model, adapter, merged, back] = ['model', 'adapter', 'merged', 'back'].map((name) => join(work, name + at));
  cpSync(join(here, 'golden/vision', family), model, { recursive: true });
  writeFileSync(
    join(model, 'preprocessor_config.json'),
    JSON.stringify({ ...processors[family], do_convert_rgb: true }),
  );
  const training = { task: 'image-classification', steps: 5, batchSize: 4, learningRate: 1e-2, r: 3, alpha: 6 };
  await fineTuneFolder({ backend, model, data, output: adapter, ...training, ...flags });
  const logits = await logitsOf({ model, adapter });
  await mergeFolders({ model, adapter, output: merged });
  const mergedHere = apart(logits, await logitsOf({ model: merged }));
  const name = `${family} ${JSON.stringify(flags)}`;
  jobs.push({ name, model, adapter, merged, back, data, logits, mergedHere, answers: join(work, `answers${at}.json`) });
}
writeFileSync(join(work, 'jobs.json'), JSON.stringify(jobs));
const { status } = spawnSync(python, [join(here, 'imageRoundTrip.py'), join(work, 'jobs.json')], { stdio: 'inherit' });
let failed = status === 0 ? 0 : 1;
for (const { name, model, back, logits, mergedHere, answers } of status === 0 ? jobs : []) {
  const { adapter, merged, changed } = JSON.parse(readFileSync(answers, 'utf8'));
  const errors = {
    'adapter in PEFT': apart(logits, adapter),
    'merged in transformers': apart(logits, merged),
    'merged here': mergedHere,
    'PEFT’s adapter here': apart(await logitsOf({ model, adapter: back }), changed),
  };
  // Another adapter, or nothing would have been shown.
  const fits = Object.values(errors).every((error) => error <= bound) && apart(logits, changed) > 0.01;
  failed += fits ? 0 : 1;
  const figures = Object.entries(errors).map(([what, error]) => `${what} ${error.toExponential(1)}`);
  console.log(`${name}: ${figures.join(', ')}`);
}
backend.dispose();
rmSync(work, { recursive: true });
console.log(failed === 0 ? 'all agree' : `${failed} do not agree`);
process.exitCode = failed === 0 ? 0 : 1;
