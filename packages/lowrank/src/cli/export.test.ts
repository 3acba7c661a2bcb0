import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ExportRunResult } from '../jobs/exportRun.js';
import { golden, readJson, readLines, runCli, scratch } from '../testing.js';

const settings = `model: ${join(golden, 'tied')}
data: ${join(golden, 'train/rows.jsonl')}
output: unused
device: cpu
steps: 6
batch_size: 2
gradient_accumulation: 3
learning_rate: 1e-4
schedule: cosine
warmup: 2
r: 2
alpha: 3
target_modules: [q_proj, v_proj]
`;

async function exported(to: string, more = '') {
  const folder = scratch();
  const file = join(folder.path, 'run.yaml');
  writeFileSync(file, settings + more);
  const output = join(folder.path, 'out');
  const outcome = await runCli(['export', file, '--to', to, '--output', output, '--json']);
  return { folder, output, ...outcome, result: outcome.json<ExportRunResult>().at(-1) };
}

test('TRL: a script with the numbers, tokens and labels of the run, and the adapter as it begins', async () => {
  const { folder, output, code, result } = await exported('trl');
  using _ = folder;
  expect(code).toBe(0);
  expect(result).toMatchObject({ to: 'trl', steps: 6, output });
  const script = readFileSync(join(output, 'train.py'), 'utf8');
  for (const line of [
    'max_steps=6,',
    'per_device_train_batch_size=2,',
    'gradient_accumulation_steps=3,',
    'learning_rate=0.0001,',
    'lr_scheduler_type="cosine",',
    'warmup_steps=2,',
    'train_sampling_strategy="sequential",',
  ])
    expect(script).toContain(line);
  expect(readJson(join(output, 'adapter/adapter_config.json'))).toMatchObject({
    peft_type: 'LORA',
    r: 2,
    lora_alpha: 3,
  });

  const shown = await runCli([
    'data',
    '--model',
    join(golden, 'tied'),
    '--data',
    join(golden, 'train/rows.jsonl'),
    '--json',
  ]);
  const rows = shown.json<{ ids: number[]; labels: number[] }>().slice(0, -1);
  const lines = readLines<{ input_ids: number[]; labels: number[] }>(join(output, 'train.jsonl'));
  const key = (ids: unknown, labels: unknown): string => JSON.stringify([ids, labels]);
  expect(lines.map(({ input_ids, labels }) => key(input_ids, labels)).sort()).toEqual(
    rows.map(({ ids, labels }) => key(ids, labels)).sort(),
  );
  expect(lines.map(({ input_ids }) => input_ids)).not.toEqual(rows.map(({ ids }) => ids));
});

test.each([
  ['axolotl', 'axolotl.yaml', ['lora_model_dir: ./adapter', 'micro_batch_size: 2', 'learning_rate: 0.0001']],
  ['mlx-lm', 'lora.yaml', ['rank: 2', 'scale: 1.5', 'iters: 18', 'name: cosine_decay', 'warmup: 6']],
  ['llama-factory', 'train.yaml', ['adapter_name_or_path: ./adapter', 'template: empty', 'max_steps: 6']],
])('%s: its configuration', async (to, file, words) => {
  const { folder, output, code } = await exported(to);
  using _ = folder;
  expect(code).toBe(0);
  const text = readFileSync(join(output, file), 'utf8');
  for (const word of words) expect(text).toContain(word);
  expect(readdirSync(output)).toContain('README.md');
});

test('a run that was stopped: the adapter so far, the steps that are left, the rows that come next', async () => {
  using folder = scratch();
  const run = join(folder.path, 'run');
  const argv = ['train', '--model', join(golden, 'tied'), '--data', join(golden, 'train/rows.jsonl'), '--output', run];
  argv.push('--steps', '6', '--save-every', '2', '--batch-size', '2', '--r', '2', '--learning-rate', '0.1');
  const stopped = await runCli([...argv, '--device', 'cpu', '--json'], {
    interruptWhen: (stdout) => stdout.split('\n').length > 4,
  });
  expect(stopped.code).toBe(130);
  const { step } = readJson<{ step: number }>(join(run, 'run.json'));
  const output = join(folder.path, 'trl');
  const outcome = await runCli(['export', run, '--to', 'trl', '--output', output, '--json']);
  expect(outcome.stderr).not.toContain('lowrank:');
  expect(outcome.json<ExportRunResult>().at(-1)).toMatchObject({ steps: 6 - step });
  expect(readFileSync(join(output, 'adapter/adapter_model.safetensors'))).toEqual(
    readFileSync(join(run, 'adapter_model.safetensors')),
  );
  const anew = join(folder.path, 'anew');
  await runCli(['export', run, '--anew', '--to', 'trl', '--output', anew]);
  const lines = (place: string): string[] => readFileSync(join(place, 'train.jsonl'), 'utf8').split('\n');
  expect(lines(output).slice(0, 4)).toEqual(lines(anew).slice(2 * step, 2 * step + 4));
});

test('what an engine has no words for is said, or refused', async () => {
  const differing = await exported('mlx-lm', 'clip: 0.5\nlora_plus_ratio: 16\n');
  using _ = differing.folder;
  expect(differing.code).toBe(0);
  expect(differing.result?.differences.join('\n')).toMatch(/clip 0\.5: mlx-lm does not clip/);
  const refused = await exported('mlx-lm', 'optimizer: adamw8bit\n');
  using _2 = refused.folder;
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain('the optimizer adamw8bit in mlx-lm: expected adamw');
  expect(readdirSync(refused.folder.path)).toEqual(['run.yaml']);
});
