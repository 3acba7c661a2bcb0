import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { EvaluateFolderResult } from '../jobs/evaluate.js';
import { golden, readJson, runCli, scratch } from '../testing.js';

const data = join(golden, 'train/rows.jsonl');
const heldOut = join(golden, 'train/eval.jsonl');

async function loss(flags: readonly string[]): Promise<number> {
  const outcome = await runCli(['eval', '--data', heldOut, '--device', 'cpu', '--json', ...flags]);
  if (outcome.code !== 0) throw new Error(outcome.stderr);
  return outcome.json<EvaluateFolderResult>()[0]?.loss ?? NaN;
}

test.each<[string[], string, object]>([
  [
    ['--use-dora', '--rank-pattern', '{"q_proj": 3}', '--alpha-pattern', '{"q_proj": 9}'],
    'untied',
    { use_dora: true, rank_pattern: { q_proj: 3 }, alpha_pattern: { q_proj: 9 } },
  ],
  [
    ['--use-rslora', '--lora-bias', '--layers-to-transform', '1'],
    'bias',
    { use_rslora: true, lora_bias: true, layers_to_transform: [1] },
  ],
  [
    ['--bias', 'all', '--exclude-modules', 'v_proj', '--lora-plus-ratio', '4'],
    'bias',
    { bias: 'all', exclude_modules: ['v_proj'] },
  ],
  [['--init-lora-weights', 'pissa'], 'untied', { init_lora_weights: true, r: 4, lora_alpha: 8 }],
  [['--init-lora-weights', 'orthogonal', '--use-dora'], 'untied', { init_lora_weights: 'orthogonal', use_dora: true }],
  [['--use-dora', '--quantization', 'nf4', '--double-quantization', '--checkpointing'], 'untied', { use_dora: true }],
  [['--init-lora-weights', 'pissa_niter_4', '--quantization', 'nf4'], 'untied', { init_lora_weights: true, r: 4 }],
])('%j: trains, evaluates and merges', async (flags, name, config) => {
  using folder = scratch();
  const model = join(golden, name);
  const [adapter, merged] = [join(folder.path, 'adapter'), join(folder.path, 'merged')];
  const trained = await runCli([
    'train',
    '--model',
    model,
    '--data',
    data,
    '--output',
    adapter,
    '--steps',
    '2',
    '--batch-size',
    '4',
    '--learning-rate',
    '0.01',
    '--r',
    '2',
    '--alpha',
    '4',
    '--target-modules',
    'q_proj,v_proj',
    '--eval-data',
    heldOut,
    '--device',
    'cpu',
    '--json',
    ...flags,
  ]);
  expect([trained.code, trained.stderr]).toEqual([0, expect.anything()]);
  expect(readJson<object>(join(adapter, 'adapter_config.json'))).toMatchObject(config);
  const codes = flags.filter((flag) => ['--quantization', 'nf4', '--double-quantization'].includes(flag));
  const after = trained.json<{ eval_loss?: number }>().at(-1)?.eval_loss ?? NaN;
  const adapted = await loss(['--model', model, '--adapter', adapter, ...codes]);
  expect(Math.abs(adapted / after - 1)).toBeLessThan(1e-4);
  const outcome = await runCli(['merge', '--model', model, '--adapter', adapter, '--output', merged]);
  expect([outcome.code, outcome.stderr]).toEqual([0, expect.anything()]);
  if (codes.length === 0) expect(Math.abs((await loss(['--model', merged])) / adapted - 1)).toBeLessThan(1e-4);
});

test.each([
  [['--rank-pattern', '{"q_proj": "4"}'], /--rank-pattern: expected a JSON object of numbers.*got \{"q_proj": "4"\}/],
  [['--alpha-pattern', 'q_proj=4'], /--alpha-pattern: expected a JSON object/],
  [['--bias', 'some'], /--bias: expected none, all, lora_only, got some/],
  [['--init-lora-weights', 'pissa_niter_x'], /--init-lora-weights: expected kaiming/],
  [['--use-dora', '--lora-bias'], /--lora-bias with --use-dora/],
  [['--init-lora-weights', 'orthogonal', '--r', '3'], /orthogonal.*even rank/],
  [['--layers-to-transform', '-1'], /--layers-to-transform: expected a whole number of at least 0/],
  [['--use-dora', '--method', 'full'], /--use-dora with --method full/],
  [['--use-rslora', '--init-adapter', join(golden, 'train/lora/init')], /--use-rslora with --init-adapter/],
])('%j is refused', async (flags, words) => {
  using folder = scratch();
  const outcome = await runCli([
    'train',
    '--model',
    join(golden, 'untied'),
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
