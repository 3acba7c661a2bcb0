import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { EvaluateFolderResult } from '../jobs/evaluate.js';
import { golden, readJson, runCli, scratch } from '../testing.js';

const model = join(golden, 'untied');
const data = join(golden, 'train/rows.jsonl');
const begin = ['--init-lora-weights', 'eva'];
const argv = (output: string): string[] => [
  'train',
  '--model',
  model,
  '--data',
  data,
  '--output',
  output,
  '--steps',
  '2',
  '--batch-size',
  '4',
  '--learning-rate',
  '0.01',
  '--r',
  '6',
  '--alpha',
  '12',
  '--target-modules',
  'q_proj,v_proj,o_proj',
  '--device',
  'cpu',
];

test(
  '--init-lora-weights eva: ranks go where they explain most, and the file says so as PEFT’s does; it ' +
    'evaluates and merges',
  async () => {
    using folder = scratch();
    const [adapter, merged] = [join(folder.path, 'adapter'), join(folder.path, 'merged')];
    const outcome = await runCli([...argv(adapter), ...begin, '--eva-rho', '3', '--eva-batches', '4']);
    expect([outcome.code, outcome.stderr]).toEqual([0, expect.stringContaining('training')]);
    const config = readJson<{
      r: number;
      rank_pattern: Record<string, number>;
      alpha_pattern: Record<string, number>;
      target_modules: string[];
    }>(join(adapter, 'adapter_config.json'));
    expect(config).toMatchObject({
      r: 6,
      lora_alpha: 12,
      init_lora_weights: 'eva',
      eva_config: {
        rho: 3,
        tau: 0.99,
        use_label_mask: true,
        label_mask_value: -100,
        whiten: false,
        adjust_scaling_factors: true,
      },
    });
    const ranks = config.target_modules.map((path) => config.rank_pattern[path] ?? 6);
    expect(ranks.reduce((a, b) => a + b, 0)).toBe(6 * 6);
    expect(new Set(ranks).size).toBeGreaterThan(1);
    for (const [path, rank] of Object.entries(config.rank_pattern))
      expect(config.alpha_pattern[path]).toBeCloseTo(2 * rank, 12);
    const lossOf = async (flags: readonly string[]): Promise<number> =>
      (await runCli(['eval', '--data', data, '--device', 'cpu', '--json', ...flags])).json<EvaluateFolderResult>()[0]
        ?.loss ?? NaN;
    const adapted = await lossOf(['--model', model, '--adapter', adapter]);
    expect(adapted).toBeLessThan(await lossOf(['--model', model]));
    expect((await runCli(['merge', '--model', model, '--adapter', adapter, '--output', merged])).code).toBe(0);
    expect(Math.abs((await lossOf(['--model', merged])) / adapted - 1)).toBeLessThan(1e-5);
  },
);

test.each<[string[], RegExp]>([
  [['--eva-rho', '2'], /--eva-rho: expected --init-lora-weights eva with it/],
  [
    ['--eva-batches', '2', '--init-lora-weights', 'gaussian'],
    /--eva-batches: expected --init-lora-weights eva.*got gaussian/,
  ],
  [[...begin, '--eva-rho', '0.5'], /--eva-rho: expected .*at least 1, got 0.5/],
  [[...begin, '--eva-batches', '0'], /--eva-batches/],
  [[...begin, '--r', '25'], /EVA at model\.layers\.0\.self_attn\.q_proj: expected a rank up to 24.*got 25/],
  [[...begin, '--lora-bias'], /--lora-bias with --init-lora-weights eva/],
  [[...begin, '--method', 'full'], /--init-lora-weights with --method full/],
])('%j is refused, and nothing is left behind', async (flags, words) => {
  using folder = scratch();
  const given = argv(join(folder.path, 'out'));
  const full = flags.includes('full')
    ? given.filter(
        (_, at) => !['--r', '--alpha', '--target-modules'].some((flag) => given[at] === flag || given[at - 1] === flag),
      )
    : given;
  const outcome = await runCli([...full, ...flags]);
  expect(outcome.stderr).toMatch(words);
  expect(outcome.code).toBe(2);
  expect(readdirSync(folder.path)).toEqual([]);
});

test('the output projection is measured where it is a target', async () => {
  using folder = scratch();
  const adapter = join(folder.path, 'adapter');
  const outcome = await runCli([
    ...argv(adapter).map((item) => (item === 'q_proj,v_proj,o_proj' ? 'o_proj,lm_head' : item)),
    ...begin,
    '--eva-batches',
    '2',
  ]);
  expect([outcome.code, outcome.stderr]).toEqual([0, expect.stringContaining('training')]);
  expect(readJson<{ target_modules: string[] }>(join(adapter, 'adapter_config.json')).target_modules).toContain(
    'lm_head',
  );
});
