import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { FineTuneResult } from '../jobs/fineTune.js';
import { golden, readJson, runCli, scratch } from '../testing.js';

const model = join(golden, 'tied');
const data = join(golden, 'train/rows.jsonl');

/** Trains by a file of this text; the adapter goes to `out` beside it. */
async function trainBy(text: string, folder: string, { name = 'run.yaml', flags = [] as string[] } = {}) {
  const file = join(folder, name);
  writeFileSync(file, text);
  return runCli(['train', file, '--output', join(folder, 'out'), '--device', 'cpu', '--json', ...flags]);
}

const yaml = `# a run
model: ${model}
data: ${data}
method: lora
tune: false
steps: 1
batch_size: 2
learning_rate: 1e-3
shuffle: false
r: 2
alpha: 4
target_modules: [q_proj, v_proj]
rank_pattern:
  v_proj: 1
clip:
`;

test('a file of settings does what the flags do; flags override it', async () => {
  using folder = scratch();
  const byFile = await trainBy(yaml, folder.path);
  expect(byFile.stderr).not.toContain('lowrank:');
  const result = byFile.json<FineTuneResult>().at(-1);
  const config = readJson<Record<string, unknown>>(join(folder.path, 'out/adapter_config.json'));
  expect(config).toMatchObject({ r: 2, lora_alpha: 4, rank_pattern: { v_proj: 1 } });
  expect(config['target_modules']).toEqual(['q_proj', 'v_proj']);

  const flags = ['--model', model, '--data', data, '--steps', '1', '--batch-size', '2', '--learning-rate', '1e-3'];
  flags.push('--no-shuffle', '--r', '2', '--alpha', '4', '--target-modules', 'q_proj,v_proj');
  flags.push('--rank-pattern', '{"v_proj":1}', '--output', join(folder.path, 'flags'), '--device', 'cpu', '--json');
  const byFlags = (await runCli(['train', ...flags])).json<FineTuneResult>().at(-1);
  expect(byFlags?.final_loss).toBe(result?.final_loss);
  expect(byFlags?.trained_parameters).toBe(result?.trained_parameters);

  const json = JSON.stringify({ model, data, steps: 3, 'batch-size': 2, learningRate: 1e-3, r: 2 });
  mkdirSync(join(folder.path, 'json'));
  const overridden = await trainBy(json, join(folder.path, 'json'), { name: 'run.json', flags: ['--steps', '2'] });
  expect(overridden.json<FineTuneResult>().at(-1)?.steps).toBe(2);
});

test.each<[string, string, string[]]>([
  ['unknown key', `learnig_rate: 1\n`, ['the setting learnig_rate in', 'expected learning_rate, got learnig_rate']],
  ['another tool’s key', `lora_alpha: 1\n`, ['the setting lora_alpha in', 'expected alpha, got lora_alpha']],
  ['malformed', `steps: [1\nr: 2`, ['run.yaml: expected YAML or JSON, got', 'column 1. `lowrank init`']],
  ['a tag', `steps: !!js/function "f"\n`, ['expected YAML or JSON, got Unresolved tag']],
  ['two of a key', `steps: 1\nsteps: 2\n`, ['Map keys must be unique']],
  ['two spellings', `batch_size: 1\nbatchSize: 2\n`, ['one key for a setting, got two of them']],
  ['a list', `- steps\n`, ['expected settings by name', 'got ["steps"]']],
  ['nothing', ``, ['expected settings by name', 'got nothing']],
  ['a bomb', bomb(), ['Excessive alias count']],
  ['a wrong value', `steps: ten\n`, ['steps in', 'run.yaml: expected a whole number of at least 1, got ten']],
  ['out of bounds', `dropout: 1.5\n`, ['dropout in', 'expected a number of at least 0 and below 1, got 1.5']],
  ['a wrong path', `eval_data: 5\n`, ['eval_data in', 'expected a text, got 5']],
  ['a wrong choice', `method: qlora\n`, ['method', 'got qlora']],
  ['two that exclude each other', `method: full\nr: 8\n`, ['r in', 'with method: full in']],
])('%s is refused in the words of the file', async (_, text, words) => {
  using folder = scratch();
  const outcome = await trainBy(text, folder.path, { flags: ['--model', model, '--data', data] });
  for (const word of words) expect(outcome.stderr).toContain(word);
  expect(outcome.code).toBe(2);
  expect(outcome.stderr).not.toMatch(/^\s+at /m);
  expect(readdirSync(folder.path)).toEqual(['run.yaml']);
});

test('what neither has is still required', async () => {
  using folder = scratch();
  const outcome = await trainBy(`model: ${model}\n`, folder.path);
  expect(outcome.stderr).toContain("required option '--data <file>' not specified");
  expect(outcome.code).toBe(2);
});

/** Aliases of aliases: a few lines that mean millions of values. */
function bomb(): string {
  const lines = Array.from({ length: 9 }, (_, at) => `a${at}: &a${at} [${`*a${at - 1},`.repeat(9)}]`);
  return [`a0: &a0 [${'1,'.repeat(9)}]`, ...lines.slice(1)].join('\n');
}
