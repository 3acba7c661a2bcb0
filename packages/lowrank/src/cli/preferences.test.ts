import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { FineTuneResult } from '../jobs/fineTune.js';
import { golden, readJson, readLines, runCli, scratch } from '../testing.js';

const preferences = join(golden, '../preferences');
const model = join(golden, 'untied');

interface Golden {
  readonly batchSize: number;
  readonly gradientAccumulation: number;
  readonly learningRate: number;
  readonly losses: readonly number[];
  readonly margins: readonly number[];
  readonly gradNorms: readonly number[];
}

interface Line {
  readonly loss: number;
  readonly margin: number;
  readonly accuracy: number;
  readonly grad_norm: number;
}

const words = (text: string): string[] => text.split(' ');

const learned = ['--init-adapter', join(preferences, 'learned')];
const fresh = ['--init-adapter', join(preferences, 'fresh')];

describe('train with a preference loss goes the way of TRL', () => {
  test.each([
    ['dpoLearned', 'pairs', ['--loss', 'dpo', '--beta', '0.2', ...learned]],
    ['dpoFull', 'pairs', ['--loss', 'dpo', '--beta', '0.2', '--method', 'full']],
    ['dpoIpo', 'pairs', ['--loss', 'dpo', '--beta', '0.3', '--dpo-loss', 'ipo', ...fresh]],
    ['kto', 'labelled', ['--loss', 'kto', '--beta', '0.2', ...fresh]],
    ['orpo', 'pairs', ['--loss', 'orpo', '--beta', '0.4', ...fresh]],
    ['simpo', 'pairs', ['--loss', 'simpo', '--simpo-gamma', '1', ...fresh]],
  ])('%s', async (name, rows, flags) => {
    using folder = scratch();
    const want = readJson<Golden>(join(preferences, `${name}.json`));
    const output = join(folder.path, 'out');
    const data = join(preferences, `${rows}.jsonl`);
    const { code, stderr, json } = await runCli([
      ...words(`train --model ${model} --data ${data} --output ${output} --json --device cpu`),
      ...words(`--no-shuffle --steps ${want.losses.length} --learning-rate ${want.learningRate}`),
      ...words(`--batch-size ${want.batchSize} --gradient-accumulation ${want.gradientAccumulation}`),
      ...words(`--eval-data ${data}`),
      ...flags,
    ]);
    expect(stderr).not.toContain('error');
    expect(code).toBe(0);
    const lines = readLines<Line>(join(output, 'metrics.jsonl')).filter(({ loss }) => loss !== undefined);
    expect(lines.length).toBe(want.losses.length);
    for (const [at, { loss, margin, accuracy, grad_norm: norm }] of lines.entries()) {
      expect(Math.abs(loss - (want.losses[at] ?? NaN))).toBeLessThan(2e-5 * Math.max(1, loss));
      expect(Math.abs(margin - (want.margins[at] ?? NaN))).toBeLessThan(1e-4 * Math.max(1, margin));
      expect(Math.abs(norm / (want.gradNorms[at] ?? NaN) - 1)).toBeLessThan(1e-3);
      expect(accuracy).toBeGreaterThanOrEqual(0);
    }
    const result = json<FineTuneResult>().at(-1);
    expect(result?.eval_accuracy).toBeGreaterThan(0.8);
    expect(result?.eval_margin).toBeGreaterThan(0.3);
  });
});

test('eval compares with the model without the adapter', async () => {
  using folder = scratch();
  const output = join(folder.path, 'out');
  const data = join(preferences, 'pairs.jsonl');
  const trained = await runCli([
    ...words(`train --model ${model} --data ${data} --eval-data ${data} --output ${output} --json --steps 4`),
    ...words('--loss dpo --beta 0.2 --learning-rate 0.01 --device cpu --method prompt'),
  ]);
  const { eval_loss: loss, eval_margin: margin, eval_accuracy: accuracy } = trained.json<FineTuneResult>().at(-1) ?? {};
  const evaluate = ['eval', '--model', model, '--data', data, '--loss', 'dpo', '--beta', '0.2', '--device', 'cpu'];
  const { json } = await runCli([...evaluate, '--adapter', output, '--json']);
  const [got] = json<{ loss: number; margin: number; accuracy: number; rows: number }>();
  expect(got?.rows).toBe(18);
  expect(got?.loss).toBeCloseTo(loss ?? NaN, 5);
  expect(got?.margin).toBeCloseTo(margin ?? NaN, 5);
  expect(got?.accuracy).toBeCloseTo(accuracy ?? NaN, 5);
  const without = await runCli(evaluate);
  expect(without.code).toBe(2);
  expect(without.stderr).toContain('--adapter with it');
});

test.each([
  [['--loss', 'dpo', '--simpo-gamma', '1'], '--simpo-gamma with --loss dpo'],
  [['--beta', '1'], '--beta with --loss sft'],
  [['--loss', 'orpo', '--completion-after', 'x'], '--completion-after with --loss orpo'],
  [['--loss', 'kto', '--batch-size', '1'], 'at least two rows'],
  [['--loss', 'grpo'], '--loss'],
  [['--loss', 'dpo', '--beta', '0'], 'beta'],
])('%j is refused', async (flags, message) => {
  using folder = scratch();
  const data = join(preferences, flags.includes('kto') ? 'labelled.jsonl' : 'pairs.jsonl');
  const output = join(folder.path, 'out');
  const { code, stderr } = await runCli(['train', '--model', model, '--data', data, '--output', output, ...flags]);
  expect(code).toBe(2);
  expect(stderr).toContain(message);
});

test('rows of another form are told by their line', async () => {
  using folder = scratch();
  const data = join(folder.path, 'rows.jsonl');
  writeFileSync(data, '{"prompt": "name:", "completion": " ada"}\n');
  const output = join(folder.path, 'out');
  const ran = await runCli(['train', '--model', model, '--data', data, '--output', output, '--loss', 'dpo']);
  expect(ran.code).toBe(2);
  expect(ran.stderr).toContain('line 1: expected an object with "chosen" and "rejected"');
});
