import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { EvaluateFolderResult } from '../jobs/evaluate.js';
import type { FineTuneResult } from '../jobs/fineTune.js';
import type { Metrics } from '../metricsFile.js';
import { golden, readJson, runCli, scratch } from '../testing.js';

const data = join(golden, 'train/rows.jsonl');
const heldOut = join(golden, 'train/eval.jsonl');
const recipe = [
  '--steps',
  '4',
  '--batch-size',
  '4',
  '--learning-rate',
  '0.005',
  '--no-shuffle',
  '--device',
  'cpu',
  '--json',
];

async function train(
  output: string,
  flags: readonly string[],
  model = 'tied',
): Promise<{ metrics: Metrics[]; result: FineTuneResult }> {
  const outcome = await runCli([
    'train',
    '--model',
    join(golden, model),
    '--data',
    data,
    '--eval-data',
    heldOut,
    '--output',
    output,
    ...recipe,
    ...flags,
  ]);
  if (outcome.code !== 0) throw new Error(outcome.stderr);
  const lines = outcome.json<Metrics>();
  const result = lines.pop() as unknown as FineTuneResult;
  return { metrics: lines, result };
}

const losses = (metrics: readonly Metrics[]): number[] => metrics.map(({ loss }) => loss);
const apart = (a: readonly number[], b: readonly number[]): number =>
  Math.max(...a.map((value, at) => Math.abs(value / (b[at] ?? NaN) - 1)));

test(
  'a sparse subspace of d = D is full fine-tuning under other names: AdamW knows neither order ' + 'nor sign',
  async () => {
    using folder = scratch();
    const full = await train(join(folder.path, 'full'), ['--method', 'full']);
    const parameters = readJson<{ size: number }>(
      join(
        (await train(join(folder.path, 'one'), ['--method', 'subspace', '--dimension', '1', '--steps', '1'])).result
          .adapter ?? '',
        'adapter_config.json',
      ),
    ).size;
    const whole = await train(join(folder.path, 'whole'), ['--method', 'subspace', '--dimension', String(parameters)]);
    expect(apart(losses(whole.metrics), losses(full.metrics))).toBeLessThan(1e-5);
    expect(whole.result.eval_loss).toBeCloseTo(full.result.eval_loss ?? NaN, 4);
    expect(losses(full.metrics).at(-1)).toBeLessThan((losses(full.metrics)[0] ?? 0) - 0.3);
  },
);

test.each<[string, string[]]>([
  ['tied', ['--projection', 'sparse']],
  ['untied', ['--projection', 'sparse', '--entries', '3', '--structure-aware']],
  ['tied', ['--projection', 'fastfood', '--checkpointing']],
])(
  'on the %s model, %j: learns, is saved in a small file, and is what eval and generate load',
  async (model, projection) => {
    using folder = scratch();
    const output = join(folder.path, 'subspace');
    const { metrics, result } = await train(
      output,
      ['--method', 'subspace', '--dimension', '200', '--steps', '6', ...projection],
      model,
    );
    expect(losses(metrics).at(-1)).toBeLessThan((losses(metrics)[0] ?? 0) - 0.02);
    const adapter = ['adapter_config.json', 'adapter_model.safetensors'];
    const names = readdirSync(output).filter((name) => !name.startsWith('events.out.tfevents.'));
    expect(names.sort()).toEqual([...adapter, 'metrics.jsonl', 'report.html', 'run.json']);
    expect(statSync(join(output, 'adapter_model.safetensors')).size).toBeLessThan(1100);
    const evaluated = await runCli([
      'eval',
      '--model',
      join(golden, model),
      '--adapter',
      output,
      '--data',
      heldOut,
      '--device',
      'cpu',
      '--json',
    ]);
    expect(evaluated.json<EvaluateFolderResult>()[0]?.loss).toBeCloseTo(result.eval_loss ?? NaN, 5);
    const written = await runCli([
      'generate',
      '--model',
      join(golden, model),
      '--adapter',
      output,
      '--prompt',
      'a',
      '--max-new-tokens',
      '3',
      '--device',
      'cpu',
      '--json',
    ]);
    expect([written.code, written.stderr]).toEqual([0, expect.anything()]);
  },
);

test('packing and accumulation change nothing', async () => {
  using folder = scratch();
  const flags = ['--method', 'subspace', '--dimension', '50', '--projection', 'fastfood'];
  const packed = await train(join(folder.path, 'packed'), flags);
  const padded = await train(join(folder.path, 'padded'), [...flags, '--no-packing']);
  const accumulated = await train(join(folder.path, 'accumulated'), [
    ...flags,
    '--batch-size',
    '1',
    '--gradient-accumulation',
    '4',
  ]);
  expect(apart(losses(padded.metrics), losses(packed.metrics))).toBeLessThan(2e-5);
  expect(apart(losses(accumulated.metrics), losses(packed.metrics))).toBeLessThan(2e-5);
});

test.each([
  [['--method', 'subspace'], /--method subspace: expected --dimension with it/],
  [['--method', 'subspace', '--dimension', '0'], /--dimension: expected a whole number of at least 1/],
  [['--method', 'subspace', '--dimension', '10', '--r', '4'], /--r with --method subspace/],
  [
    ['--method', 'subspace', '--dimension', '10', '--projection', 'fastfood', '--entries', '2'],
    /--entries with --projection fastfood/,
  ],
  [
    ['--method', 'subspace', '--dimension', '2', '--structure-aware'],
    /dimension of a subspace: expected a whole number of at least 5/,
  ],
  [['--method', 'subspace', '--dimension', '10', '--quantization', 'nf4'], /--quantization with --method subspace/],
  [['--dimension', '10'], /--dimension with --method lora/],
  [['--method', 'full', '--structure-aware'], /--structure-aware with --method full/],
])('%j is refused, and nothing is left behind', async (flags, words) => {
  using folder = scratch();
  const outcome = await runCli([
    'train',
    '--model',
    join(golden, 'tied'),
    '--data',
    data,
    '--output',
    join(folder.path, 'out'),
    '--steps',
    '1',
    '--device',
    'cpu',
    ...flags,
  ]);
  expect(outcome.stderr).toMatch(words);
  expect(outcome.code).toBe(2);
  expect(readdirSync(folder.path)).toEqual([]);
});

test('a subspace of another model is refused', async () => {
  using folder = scratch();
  const output = join(folder.path, 'subspace');
  await train(output, ['--method', 'subspace', '--dimension', '10', '--steps', '1']);
  const outcome = await runCli([
    'eval',
    '--model',
    join(golden, 'untied'),
    '--adapter',
    output,
    '--data',
    heldOut,
    '--device',
    'cpu',
  ]);
  expect(outcome.stderr).toMatch(/a subspace: expected the model it was made for/);
  expect(outcome.code).toBe(2);
});

test('inspect tells what a subspace is; what takes LoRA alone refuses it', async () => {
  using folder = scratch();
  const output = join(folder.path, 'subspace');
  await train(output, ['--method', 'subspace', '--dimension', '10', '--projection', 'fastfood', '--steps', '1']);
  const told = await runCli(['inspect', '--adapter', output, '--json']);
  expect(told.json<object>()[0]).toMatchObject({
    method: 'random subspace (fastfood, d = 10)',
    peft_type: 'LOWRANK_SUBSPACE',
    parameters: 10,
    problem: null,
  });
  const merged = await runCli([
    'merge',
    '--model',
    join(golden, 'tied'),
    '--adapter',
    output,
    '--output',
    join(folder.path, 'merged'),
  ]);
  expect([merged.code, merged.stderr]).toEqual([
    2,
    expect.stringMatching(/merging a random subspace: expected a method that changes weights/),
  ]);
  expect(readdirSync(folder.path)).toEqual(['subspace']);
});
