import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { IntrinsicTable, StudyTable } from '@lowrank/study';
import { expect, test } from 'vitest';
import type { InspectResult } from '../jobs/inspect.js';
import { readJson, runCli, scratch } from '../testing.js';

// Studies of what classifies images: the tiny ViT and the twelve images of parity/imageTask.py.

const golden = fileURLToPath(new URL('../../../../parity/golden/imageTask', import.meta.url));
const place = ['--model', `${golden}/model`, '--data', `${golden}/rows.jsonl`, '--device', 'cpu'];
const budget = ['--steps', '2', '--batch-size', '4', '--hold-out', '4'];

async function ok<T>(argv: readonly string[]): Promise<T> {
  const outcome = await runCli([...argv, '--json']);
  expect([outcome.code, outcome.code === 0 ? '' : outcome.stdout + outcome.stderr]).toEqual([0, '']);
  return outcome.json<unknown>().pop() as T;
}

test('compare trains every method that images have, and scores by the metrics of classes', async () => {
  using folder = scratch();
  const methods = ['--methods', 'full,bitfit,adapter,ia3,lora,qlora', '--learning-rates', '1e-2'];
  const scores = ['--metric', 'accuracy,f1-macro', '--test-data', `${golden}/rows.jsonl`];
  const steps = ['--steps', '2', '--batch-size', '4', '--tune-steps', '1', '--tune-rows', '4'];
  const output = ['--target-modules', 'q_proj,v_proj', '--output', join(folder.path, 'study')];
  const table = await ok<StudyTable>(['compare', ...place, ...steps, ...methods, ...scores, ...output]);
  expect(table.rows.map(({ label }) => label)).toEqual(['full', 'bitfit', 'adapter', 'ia3', 'lora', 'qlora']);
  for (const { scores: found } of table.rows) {
    expect(Object.keys(found).sort()).toEqual(['accuracy', 'f1-macro', 'loss']);
    expect(found['accuracy']?.mean).toBeGreaterThanOrEqual(0);
    expect(found.loss?.mean).toBeLessThan(3);
  }
});

test('sweep copies the best adapter; inspect and predict take it', async () => {
  using folder = scratch();
  const output = join(folder.path, 'study');
  const table = await ok<StudyTable>([
    'sweep',
    ...place,
    ...budget,
    '--r',
    '1,4',
    '--metric',
    'loss',
    '--output',
    output,
  ]);
  expect(table.rows.map(({ settings }) => settings.r)).toEqual([1, 4]);
  const best = join(output, 'best');
  const { r } = readJson<{ r: number }>(join(best, 'adapter_config.json'));
  const told = (await runCli(['inspect', '--adapter', best, '--json'])).json<InspectResult>()[0];
  expect(told).toMatchObject({ method: 'LoRA', task_type: null, modules_to_save: ['classifier'], r, problem: null });
  expect(told?.layers.map(({ path, rank }) => [path, rank])).toEqual(
    [0, 1].flatMap((layer) => ['q_proj', 'v_proj'].map((name) => [`vit.layers.${layer}.attention.${name}`, r])),
  );
  expect(told?.others).toHaveLength(2);
  const said = await ok<{ label: string }>(['predict', ...place, '--adapter', best]);
  expect(['bird', 'cat', 'dog']).toContain(said.label);
});

test('intrinsic trains the head and a random subspace', async () => {
  using folder = scratch();
  const rates = ['--learning-rate', '0.01', '--full-learning-rate', '0.003'];
  const scores = ['--metric', 'accuracy', '--output', join(folder.path, 'study')];
  const asked = ['intrinsic', ...place, ...budget, '--dimensions', '8,32', ...rates, ...scores];
  const table = await ok<IntrinsicTable>(asked);
  expect(table).toMatchObject({ study: 'intrinsic', metrics: ['accuracy'] });
  expect(table.rows.filter(({ scores }) => scores['accuracy'] !== undefined).length).toBeGreaterThanOrEqual(3);
});
