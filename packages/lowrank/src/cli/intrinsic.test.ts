import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { IntrinsicTable } from '@lowrank/study';
import { golden, runCli, scratch } from '../testing.js';

const data = ['--model', join(golden, 'tied'), '--data', join(golden, 'train/rows.jsonl'), '--device', 'cpu'];

test('lowrank intrinsic: a table by a text metric, told to people and to programs', async () => {
  using folder = scratch();
  const flags = [
    '--metric',
    'rouge-l,loss',
    '--hold-out',
    '4',
    '--score-rows',
    '2',
    '--max-new-tokens',
    '4',
    '--dimensions',
    '60',
    '--projection',
    'fastfood',
    '--learning-rate',
    '0.01',
    '--full-learning-rate',
    '0.003',
    '--steps',
    '3',
    '--batch-size',
    '4',
  ];
  const outcome = await runCli(['intrinsic', ...data, ...flags, '--output', join(folder.path, 'out')]);
  expect([outcome.code, outcome.stderr]).toEqual([0, expect.stringMatching(/run 3 of 3: d = 60/)]);
  expect(outcome.stdout).toMatch(/^trained +learning rate +parameters +ROUGE-L +loss +of full/);
  expect(outcome.stdout).toMatch(/d90|No d90/);
  expect(readdirSync(join(folder.path, 'out')).sort()).toEqual([
    'chart.svg',
    'report.html',
    'runs',
    'table.json',
    'table.md',
  ]);
  const again = await runCli(['intrinsic', ...data, ...flags, '--output', join(folder.path, 'out'), '--json']);
  const lines = again.json<IntrinsicTable & { reused?: boolean }>();
  expect(lines.slice(0, -1).map(({ reused }) => reused)).toEqual([true, true, true]);
  expect(lines.at(-1)).toMatchObject({
    study: 'intrinsic',
    projection: 'fastfood',
    metrics: ['rouge-l', 'loss'],
    structure_aware: false,
  });
  expect(lines.at(-1)?.rows[2]?.scores['rouge-l']?.mean).toBeGreaterThanOrEqual(0);
});

test.each([
  [['--dimensions', '10,x'], /--dimensions: expected a whole number of at least 1, got x/],
  [['--projection', 'dense'], /--projection: expected sparse, fastfood/],
  [['--learning-rate', '0'], /--learning-rate: expected a number above 0/],
  [['--hold-out', '100000'], /100000 rows held out/],
  [['--hold-out', '4', '--tune-rows', '100000'], /100000 rows held out/],
  [['--projection', 'fastfood', '--entries', '2'], /--entries with --projection fastfood/],
])('%j is refused before the first run, and nothing is left behind', async (flags, words) => {
  using folder = scratch();
  const outcome = await runCli(['intrinsic', ...data, '--output', join(folder.path, 'out'), ...flags]);
  expect(outcome.stderr).toMatch(words);
  expect(outcome.code).toBe(2);
  expect(readdirSync(folder.path)).toEqual([]);
});
