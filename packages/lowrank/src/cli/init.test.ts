import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import type { FineTuneResult } from '../jobs/fineTune.js';
import { golden, runCli, scratch } from '../testing.js';
import { runFileSchema } from './runFileSchema.js';

const model = join(golden, 'tied');
const data = join(golden, 'train/rows.jsonl');

test('init: a file of what there is, which train takes as it is', async () => {
  using folder = scratch();
  const file = join(folder.path, 'run.yaml');
  const argv = ['init', '--model', model, '--data', data, '--output', file, '--json'];
  const outcome = await runCli(argv);
  expect(outcome.stderr).not.toContain('lowrank:');
  const text = readFileSync(file, 'utf8');
  const settings = parse(text) as Record<string, unknown>;
  expect(settings).toMatchObject({ model, data, r: 8, target_modules: 'all-linear', batch_size: 8, epochs: 3 });
  expect(Number(settings['max_length']) % 8).toBe(0);
  expect(text).toContain('# 22 rows of');
  expect(outcome.json<{ settings: unknown }>()[0]?.settings).toEqual(settings);

  // Every setting stands there, chosen or as a comment, under a name that files take.
  const names = [...text.matchAll(/^(?:# )?([a-z0-9_]+):/gm)].map(([, name]) => name);
  const { properties } = runFileSchema() as { properties: object };
  for (const name of names) expect(Object.keys(properties)).toContain(name);
  expect(names).toEqual(expect.arrayContaining(['weight_decay', 'clip', 'rank_pattern', 'shuffle']));

  const adapter = join(folder.path, 'adapter');
  const trained = await runCli(['train', file, '--output', adapter, '--steps', '1', '--device', 'cpu', '--json']);
  expect(trained.stderr).not.toContain('lowrank:');
  expect(trained.json<FineTuneResult>().at(-1)).toMatchObject({ steps: 1 });
});

test('a file that is there stays, unless it may be overwritten', async () => {
  using folder = scratch();
  const file = join(folder.path, 'run.yaml');
  writeFileSync(file, 'mine');
  const argv = ['init', '--model', model, '--data', data, '--output', file];
  const refused = await runCli(argv);
  expect([refused.code, readFileSync(file, 'utf8')]).toEqual([2, 'mine']);
  expect(refused.stderr).toContain('--overwrite');
  expect((await runCli([...argv, '--overwrite', '--memory', '1MB'])).code).toBe(0);
  expect(readFileSync(file, 'utf8')).toContain('checkpointing: true');
  expect(readdirSync(folder.path)).toEqual(['run.yaml']);
});

test.each([
  ['text-classification', { problem_type: 'single_label_classification' }, '2 labels (negative, positive)'],
  ['token-classification', {}, '80 rows, '],
  ['question-answering', {}, '# texts of'],
])('init for %s, which train takes as it is', async (task, wanted, said) => {
  using folder = scratch();
  const [encoder, rows] = ['model', `${task}/train.jsonl`].map((name) => join(golden, '../tasks', name)) as [
    string,
    string,
  ];
  const file = join(folder.path, 'run.yaml');
  const outcome = await runCli(['init', '--model', encoder, '--data', rows, '--output', file, '--json']);
  expect([outcome.code, outcome.stderr]).toEqual([0, expect.not.stringContaining('lowrank:')]);
  const text = readFileSync(file, 'utf8');
  expect(parse(text)).toMatchObject({ model: encoder, task, learning_rate: 1.5e-3, ...wanted });
  expect(text).toContain(said);
  const adapter = join(folder.path, 'adapter');
  const trained = await runCli(['train', file, '--output', adapter, '--steps', '1', '--device', 'cpu', '--json']);
  expect([trained.code, trained.stderr]).toEqual([0, expect.not.stringContaining('lowrank:')]);
});

test('data shows the rows of models that write, and names an encoder', async () => {
  const [encoder, rows] = [join(golden, '../tasks/model'), join(golden, '../tasks/text-classification/train.jsonl')];
  const { code, stderr } = await runCli(['data', '--model', encoder, '--data', rows]);
  expect([code, stderr]).toEqual([
    2,
    expect.stringMatching(/expected a model that writes text, got BERT, an encoder\. `lowrank init` tells/),
  ]);
});
