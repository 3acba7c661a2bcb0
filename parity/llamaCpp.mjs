// A model of a real size in a real client: llama.cpp answers prompts with base + adapter and with the merged
// file, token for token as Lowrank does with the same (greedily, on the CPU; merged weights are rounded to
// the base's bf16).
//
//   npm install --prefix /tmp/client node-llama-cpp           # llama.cpp with prebuilt binaries, 700 MB
//   ../shared/data/models/smollm2-135m/make                    # prints the model's folder
//   node parity/llamaCpp.mjs MODEL /tmp/client                 # after a build; about three minutes on two cores
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const [model, client] = process.argv.slice(2);
if (model === undefined || client === undefined) throw new Error('usage: node parity/llamaCpp.mjs MODEL CLIENT');
const cli = fileURLToPath(new URL('../packages/lowrank/dist/cli.js', import.meta.url));
const prompts = [
  'The capital of France is',
  'name : The Vaults | food : Indian | area : riverside =>',
  'def fibonacci(n):\n',
  'Once upon a time, in München, ein kleiner 🐻',
];
const length = 16;
const work = mkdtempSync(join(tmpdir(), 'lowrank-llama-'));
process.on('exit', () => rmSync(work, { recursive: true, force: true }));

/** Runs the command line, and returns its last line of JSON. */
function lowrank(...flags) {
  const ran = spawnSync(process.execPath, [cli, ...flags, '--json'], { encoding: 'utf8', maxBuffer: 2 ** 28 });
  if (ran.status !== 0) throw new Error(`lowrank ${flags[0]} ended with ${ran.status}: ${ran.stdout}${ran.stderr}`);
  return JSON.parse(ran.stdout.trimEnd().split('\n').at(-1) ?? '');
}

const data = join(work, 'rows.jsonl');
const rows = prompts.map((prompt) => ({ prompt, completion: ' Ahoy! Arr, that be a fine question, matey.' }));
writeFileSync(data, rows.map((row) => JSON.stringify(row)).join('\n'));
const adapter = join(work, 'adapter');
const training = ['--target-modules', 'all-linear', '--r', '8', '--steps', '6', '--batch-size', '4'];
lowrank(
  'train',
  '--model',
  model,
  '--data',
  data,
  ...training,
  '--learning-rate',
  '0.001',
  '--device',
  'cpu',
  '--output',
  adapter,
);

const flags = prompts.flatMap((prompt) => ['--prompt', prompt]);
const greedy = ['--model', model, '--device', 'cpu', '--max-new-tokens', `${length}`, ...flags];
const own = {
  base: lowrank('generate', ...greedy).results,
  tuned: lowrank('generate', ...greedy, '--adapter', adapter).results,
};
const merged = join(work, 'merged');
lowrank('merge', '--model', model, '--adapter', adapter, '--output', merged);
own.merged = lowrank('generate', ...greedy.with(1, merged)).results;
const file = (name) => join(work, `${name}.gguf`);
for (const dtype of ['f16', 'f32'])
  lowrank('convert', '--to', 'gguf', '--model', model, '--dtype', dtype, '--output', file(dtype));
lowrank('convert', '--to', 'gguf', '--model', model, '--adapter', adapter, '--output', file('adapter'));
for (const dtype of ['f16', 'f32'])
  lowrank(
    'convert',
    '--to',
    'gguf',
    '--model',
    model,
    '--adapter',
    adapter,
    '--merge',
    '--dtype',
    dtype,
    '--output',
    file(`merged-${dtype}`),
  );

const entry = createRequire(join(resolve(client), 'x.js')).resolve('node-llama-cpp');
const { getLlama } = await import(pathToFileURL(entry).href);
const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error' });

async function answers(path, lora) {
  const loaded = await llama.loadModel({ modelPath: path });
  const context = await loaded.createContext({
    contextSize: 256,
    threads: 1,
    ...(lora !== undefined && { lora: { adapters: [{ filePath: lora }] } }),
  });
  const sequence = context.getSequence();
  const all = [];
  for (const prompt of prompts) {
    await sequence.clearHistory();
    const ids = [];
    for await (const id of sequence.evaluate(loaded.tokenize(prompt), { temperature: 0 })) {
      if (loaded.isEogToken(id)) break;
      ids.push(id);
      if (ids.length === length) break;
    }
    all.push(ids);
  }
  await loaded.dispose();
  return all;
}

let wrong = 0;
const cases = [
  ['base, f32', 'base', file('f32')],
  ['base, f16', 'base', file('f16')],
  ['base f32 + adapter', 'tuned', file('f32'), file('adapter')],
  ['base f16 + adapter', 'tuned', file('f16'), file('adapter')],
  ['merged, f32', 'merged', file('merged-f32')],
  ['merged, f16', 'merged', file('merged-f16')],
];
for (const [title, kind, ...paths] of cases) {
  const found = await answers(...paths);
  const same = found.map((ids, at) => {
    const wanted = own[kind][at].ids.slice(0, ids.length);
    const first = ids.findIndex((id, place) => id !== wanted[place]);
    return first < 0 ? `${ids.length}` : `${first} of ${ids.length}`;
  });
  if (same.some((text) => text.includes('of'))) wrong++;
  console.log(`${title}: equal ids for each prompt: ${same.join(', ')}`);
}
console.log(own.tuned.map(({ text }) => JSON.stringify(text)).join('\n'));
process.exitCode = wrong > 0 ? 1 : 0;
