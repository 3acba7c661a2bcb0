import { cpSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { InspectResult } from '../jobs/inspect.js';
import { golden, readJson, runCli, scratch } from '../testing.js';

const adapter = join(golden, 'adapters/tied-rslora');

test('inspect --json: one object that tells all', async () => {
  const outcome = await runCli(['inspect', '--adapter', adapter, '--json']);
  expect(outcome.stderr).toBe('');
  const results = outcome.json<InspectResult>();
  expect(results.length).toBe(1);
  const [result] = results;
  const config = readJson<{ r: number; lora_alpha: number; peft_version: string }>(
    join(adapter, 'adapter_config.json'),
  );
  expect(result).toMatchObject({
    adapter,
    method: 'rsLoRA',
    peft_type: 'LORA',
    base_model: 'tied',
    r: config.r,
    alpha: config.lora_alpha,
    peft_version: config.peft_version,
    use_rslora: true,
    init: true,
    ranks: [3, 6],
    dtypes: ['F32'],
    others: [],
    refused: [],
    problem: null,
  });
  for (const { path, rank, scaling, singular_values: values, norm, effective_rank: effective } of result?.layers ??
    []) {
    expect(path).toMatch(/^model\.layers\.\d\./);
    expect(scaling).toBeCloseTo(config.lora_alpha / Math.sqrt(rank), 10);
    expect(values.length).toBe(rank);
    expect(norm).toBeCloseTo(Math.hypot(...values), 10);
    expect(effective).toBeGreaterThan(1);
    expect(effective).toBeLessThanOrEqual(rank);
  }
});

test('inspect for people: facts, a line for each layer', async () => {
  const lines = (await runCli(['inspect', '--adapter', join(golden, 'adapters/tied-all')])).stdout
    .trimEnd()
    .split('\n');
  expect(lines[0]).toMatch(/tied-all: LoRA$/);
  expect(lines).toContain('base model  tied');
  expect(lines.find((line) => line.startsWith('rank'))).toBe('rank        2, 3, 4, 5 (r = 4)');
  expect(lines.filter((line) => /^model\.layers\.\d\..* \[\d+, \d+\] +\d( +[\d.]+){4}$/.test(line)).length).toBe(14);
});

test('a refused setting is named beside what can be told', async () => {
  using folder = scratch();
  const copy = join(folder.path, 'odd');
  cpSync(adapter, copy, { recursive: true });
  writeFileSync(
    join(copy, 'adapter_config.json'),
    JSON.stringify({ ...readJson<object>(join(adapter, 'adapter_config.json')), layer_replication: [[0, 1]] }),
  );
  const outcome = await runCli(['inspect', '--adapter', copy]);
  expect(outcome.code).toBe(0);
  expect(outcome.stdout).toContain('settings that Lowrank does not have: layer_replication = [[0,1]]');
  expect(outcome.stdout).toContain('Lowrank does not load it: layer_replication');
  expect(outcome.stdout).toContain('effective rank');
});

test.each([
  ['adapter_model.bin', 'cli.pickle', 'a pickle'],
  ['adapters.safetensors', 'cli.mlxAdapter', 'lowrank convert --from mlx'],
])('a folder with %s is no adapter of PEFT', async (name, code, words) => {
  using folder = scratch();
  const copy = join(folder.path, 'odd');
  cpSync(adapter, copy, { recursive: true });
  renameSync(join(copy, 'adapter_model.safetensors'), join(copy, name));
  const outcome = await runCli(['inspect', '--adapter', copy, '--json']);
  expect(outcome.json<{ error: { code: string } }>()[0]?.error.code).toBe(code);
  expect(outcome.stderr).toContain(words);
  rmSync(join(copy, name));
  expect(
    (await runCli(['inspect', '--adapter', copy, '--json'])).json<{ error: { code: string } }>()[0]?.error.code,
  ).toBe('models.noFile');
});

test('another method’s settings are none that Lowrank lacks', async () => {
  const prefix = join(golden, '../methods/prefixLlama');
  const [told] = (await runCli(['inspect', '--adapter', prefix, '--json'])).json<InspectResult>();
  expect(told).toMatchObject({ method: 'prefix tuning', peft_type: 'PREFIX_TUNING', refused: [], problem: null });
});
