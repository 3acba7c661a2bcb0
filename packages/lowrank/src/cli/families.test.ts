import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { EvaluateFolderResult } from '../jobs/evaluate.js';
import type { Metrics } from '../metricsFile.js';
import { expectClose, golden, readJson, readLines, runCli, scratch } from '../testing.js';

const data = join(golden, 'train/rows.jsonl');

test.each([
  ['mistral', ['q_proj', 'v_proj']],
  ['qwen2', ['q_proj', 'v_proj']],
  ['qwen3', ['q_proj', 'v_proj']],
  ['gemma', ['q_proj', 'v_proj']],
  ['gemma2', ['q_proj', 'v_proj']],
  ['gemma3', ['q_proj', 'v_proj']],
  ['phi3', ['qkv_proj']],
  ['phi3LongRope', ['qkv_proj']],
  ['smollm3', ['q_proj', 'v_proj']],
  ['olmo2', ['q_proj', 'v_proj']],
  ['olmo3', ['q_proj', 'v_proj']],
  ['llamaYarn', ['q_proj', 'v_proj']],
  ['gpt2', ['c_attn']],
  ['gptNeox', ['query_key_value']],
  ['gptNeoxSequential', ['query_key_value']],
])(
  '%s: ten steps on the default targets, the loss falls; then evaluated, merged, evaluated again, and it writes',
  async (variant, targets) => {
    using folder = scratch();
    const model = fileURLToPath(new URL(`../../../../parity/golden/families/${variant}`, import.meta.url));
    const [adapter, merged] = [join(folder.path, 'adapter'), join(folder.path, 'merged')];
    const run = await runCli([
      'train',
      '--model',
      model,
      '--data',
      data,
      '--output',
      adapter,
      '--steps',
      '10',
      '--batch-size',
      '8',
      '--learning-rate',
      '0.05',
      '--warmup',
      '1',
      '--device',
      'cpu',
      '--json',
    ]);
    expect(run.stderr).not.toContain('rror');
    expect(run.code).toBe(0);
    const losses = readLines<Metrics>(join(adapter, 'metrics.jsonl')).map(({ loss }) => loss);
    expect(losses).toHaveLength(10);
    expect(losses[9]).toBeLessThan(0.9 * (losses[0] ?? 0));
    expect(readJson(join(adapter, 'adapter_config.json'))).toMatchObject({ target_modules: targets });

    const evaluate = async (flags: string[]): Promise<number> =>
      (await runCli(['eval', ...flags, '--data', data, '--device', 'cpu', '--json'])).json<EvaluateFolderResult>()[0]
        ?.loss ?? NaN;
    const adapted = await evaluate(['--model', model, '--adapter', adapter]);
    expect(adapted).toBeLessThan(0.9 * (await evaluate(['--model', model])));
    expect((await runCli(['merge', '--model', model, '--adapter', adapter, '--output', merged])).code).toBe(0);
    expectClose([await evaluate(['--model', merged])], [adapted], 1e-5);
    const generated = await runCli([
      'generate',
      '--model',
      merged,
      '--prompt',
      'name: ada',
      '--max-new-tokens',
      '5',
      '--device',
      'cpu',
      '--json',
    ]);
    expect(generated.code).toBe(0);
  },
);
