import { portableSpec } from '@lowrank/webgpu';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { commonConfigs } from '../jobs/planning/commonConfigs.js';
import type { PlanReport } from '../jobs/planning/planReport.js';
import type { PlannedRun } from '../jobs/planning/planRun.js';
import { planRun } from '../jobs/planning/planRun.js';
import { golden, readJson, runCli, scratch } from '../testing.js';
import { memoryFlag } from './planCommand.js';

const model = join(golden, 'tied');
const gpuOf2GiB = portableSpec({ maxBufferSize: 2 ** 31 - 4, maxStorageBufferBindingSize: 2 ** 31 - 4 });
const plan = async (...flags: string[]): Promise<PlanReport> => {
  const outcome = await runCli(['plan', ...flags, '--json']);
  if (outcome.code !== 0) throw new Error(outcome.stderr);
  const [report, ...others] = outcome.json<PlanReport>();
  expect(others).toEqual([]);
  if (report === undefined) throw new Error('no report');
  return report;
};

test('a model folder: every flag is in the report, and the parts add up', async () => {
  const report = await plan(
    '--model',
    model,
    '--r',
    '2',
    '--target-modules',
    'all-linear',
    '--batch-size',
    '3',
    '--max-length',
    '24',
    '--no-packing',
    '--gradient-accumulation',
    '2',
    '--checkpointing',
    '--device',
    'cpu',
  );
  expect(report).toMatchObject({
    model,
    model_type: 'llama',
    method: 'lora',
    r: 2,
    target_modules: ['all-linear'],
    dtype: 'f32',
    quantization: null,
    checkpointing: true,
    batch_size: 3,
    gradient_accumulation: 2,
    max_length: 24,
    fits: true,
    variants: [],
    optimizer: 'adamw',
  });
  expect(report.batches).toEqual([
    { batch: 3, length: 32 },
    { batch: 3, length: 32 },
  ]);
  const { peak, ...parts } = report.bytes;
  expect(Object.values(parts).reduce((total, bytes) => total + bytes, 0)).toBe(peak);
  expect(report.trainable_share).toBeCloseTo(
    report.trainable_parameters / (report.parameters + report.trainable_parameters),
    12,
  );
  expect(report.device).toMatch(/^cpu/);
});

test('a config.json and a shipped name; the defaults', async () => {
  using folder = scratch();
  const path = join(folder.path, 'mine.json');
  writeFileSync(path, JSON.stringify(readJson<object>(join(model, 'config.json'))));
  expect(await plan('--config', path)).toMatchObject({
    model: path,
    target_modules: ['q_proj', 'v_proj'],
    r: 8,
    batch_size: 1,
    memory_bytes: null,
    fits: null,
    variants: [],
  });
  expect(await plan('--config', 'smollm2-135m')).toMatchObject({
    model: 'SmolLM2-135M',
    parameters: 134_515_008,
    dtype: 'bf16',
    max_length: 1024,
    trainable_parameters: 30 * 8 * (2 * 576 + 576 + 192),
  });
});

test('qlora quantizes to NF4; a quantized checkpoint is planned as it is stored', async () => {
  const nf4 = await plan('--config', 'SmolLM2-135M', '--method', 'qlora', '--double-quantization');
  expect(nf4.quantization).toEqual({ type: 'nf4', doubleQuantization: true });
  using folder = scratch();
  mkdirSync(join(folder.path, 'stored'));
  const stored = { load_in_8bit: true, quant_method: 'bitsandbytes' };
  writeFileSync(
    join(folder.path, 'stored/config.json'),
    JSON.stringify({ ...readJson<object>(join(model, 'config.json')), quantization_config: stored }),
  );
  const int8 = await plan('--model', join(folder.path, 'stored'));
  expect(int8).toMatchObject({ quantization: { type: 'int8' } });
  expect(int8.bytes.quantized).toBeGreaterThan(0);
});

test('what does not fit is told with what would, planned', async () => {
  const tight = await plan('--config', 'SmolLM2-135M', '--max-length', '512', '--memory', '300MB');
  expect(tight.fits).toBe(false);
  const fitting = tight.variants.filter(({ fits }) => fits);
  expect(fitting.length).toBeGreaterThan(0);
  for (const { flags, peak_bytes: peak } of fitting) {
    expect(peak).toBeLessThanOrEqual(300e6);
    const asPlanned = await plan(
      '--config',
      'SmolLM2-135M',
      ...(flags.some((flag) => flag.startsWith('--max-length')) ? [] : ['--max-length', '512']),
      ...flags.flatMap((flag) => flag.split(' ')),
      '--memory',
      '300MB',
    );
    expect(asPlanned.bytes.peak).toBe(peak);
    expect(asPlanned.fits).toBe(true);
  }
  expect((await plan('--config', 'SmolLM2-135M', '--memory', '8GB')).variants).toEqual([]);
  // Not even everything together: the last variant says how far it is.
  const hopeless = await plan('--config', 'LLaMA-7B', '--memory', '1GB');
  expect(hopeless.variants.every(({ fits }) => !fits)).toBe(true);
  expect(hopeless.variants.at(-1)?.flags).toEqual([
    '--checkpointing',
    '--method qlora',
    '--double-quantization',
    '--quantize-embeddings',
    '--max-length 32',
    '--r 1',
  ]);
});

test('for people: a table and a verdict', async () => {
  const { code, stdout } = await runCli([
    'plan',
    '--config',
    'LLaMA-7B',
    '--method',
    'qlora',
    '--double-quantization',
    '--target-modules',
    'q_proj,v_proj',
    '--max-length',
    '512',
    '--checkpointing',
    '--memory',
    '8GB',
  ]);
  expect(code).toBe(0);
  for (const line of [
    /LLaMA-7B \(llama\): qlora; r=8 on q_proj, v_proj; nf4 with double quantization, the rest bf16; checkpointing/,
    /1 row of 512 tokens, run as 1 × 512/,
    /trainable parameters +4,194,304 of 6,738,415,616 \(0\.0622%\)/,
    /quantized matrices +3\.34 GB/,
    /peak +4\.\d+ GB/,
    /fits into 8\.00 GB/,
  ])
    expect(stdout).toMatch(line);
});

test('the table in docs/memory.md holds what the command reports', async () => {
  const page = readFileSync(fileURLToPath(new URL('../../../../docs/memory.md', import.meta.url)), 'utf8');
  const cellsOf = (row: string): string[] =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
  const rows = [...page.matchAll(/^\| *`--max-length .*\|$/gm)].map(([row]) => {
    const [flags = '', ...numbers] = cellsOf(row);
    return { flags: flags.replaceAll('`', '').split(' '), numbers };
  });
  expect(rows.length).toBe(8);
  for (const { flags, numbers } of rows) {
    const has = (flag: string): boolean => flags.includes(flag);
    const run: PlannedRun = {
      config: commonConfigs['LLaMA-7B'] ?? {},
      name: 'LLaMA-7B',
      method: has('qlora') ? 'qlora' : 'lora',
      r: 8,
      targetModules: ['q_proj', 'v_proj'],
      batchSize: 1,
      gradientAccumulation: 1,
      maxLength: Number(flags[1]),
      packing: true,
      checkpointing: has('--checkpointing'),
      optimizer: 'adamw',
      dtype: 'bf16',
      quantization: has('qlora') ? { type: 'nf4', doubleQuantization: has('--double-quantization') } : undefined,
    };
    const { bytes } = await planRun(run, { name: 'a GPU', spec: gpuOf2GiB, memoryBytes: undefined });
    expect([
      flags,
      ...[bytes.weights + bytes.quantized, bytes.activations, bytes.peak].map((each) => (each / 1e9).toFixed(2)),
    ]).toEqual([flags, ...numbers]);
  }
});

test.each([
  [[], /--config and --model: expected one of the two, got neither/],
  [['--config', 'LLaMA-7B', '--model', model], /got both/],
  [['--config', 'nowhere.json'], /config\.json, or one of SmolLM2-135M.*no such file/],
  [['--config', 'LLaMA-7B', '--method', 'full', '--quantization', 'nf4'], /--quantization with --method full/],
  [
    ['--config', 'LLaMA-7B', '--method', 'full', '--modules-to-save', 'lm_head'],
    /--modules-to-save with --method full.*lora or qlora/,
  ],
  [
    ['--config', 'LLaMA-7B', '--method', 'bitfit', '--trainable-tokens', '5'],
    /--trainable-tokens with --method bitfit/,
  ],
  [['--config', 'LLaMA-7B', '--double-quantization'], /--quantization nf4 or fp4/],
  [['--config', 'LLaMA-7B', '--target-modules', 'q_prj'], /q_prj/],
  [['--config', 'LLaMA-7B', '--memory', '8X'], /8GB.*got 8X/],
])('refused: %j', async (flags, message) => {
  const { code, stderr, stdout } = await runCli(['plan', ...flags]);
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr).toMatch(message);
});

test('a preference loss plans two documents for each row', async () => {
  const planned = async (loss: string): Promise<{ positions: number; activations: number }> => {
    const { json } = await runCli([
      'plan',
      '--model',
      model,
      '--max-length',
      '32',
      '--batch-size',
      '2',
      '--json',
      '--loss',
      loss,
    ]);
    const [report] = json<PlanReport>();
    const positions = (report?.batches ?? []).reduce((sum, { batch, length }) => sum + batch * length, 0);
    return { positions, activations: report?.bytes.activations ?? NaN };
  };
  const texts = await planned('sft');
  for (const loss of ['dpo', 'orpo', 'simpo']) {
    const pairs = await planned(loss);
    expect(pairs.positions).toBe(2 * texts.positions);
    expect(pairs.activations).toBeGreaterThan(1.5 * texts.activations);
  }
  // Of the mismatched rows nothing is kept for gradients.
  const judged = await planned('kto');
  expect(judged.activations).toBeGreaterThan(texts.activations);
});

test('sizes are read as they are sold', () => {
  expect(['8GB', '7.5GiB', '512mb', '1000', '1 kB'].map(memoryFlag)).toEqual([8e9, 7.5 * 2 ** 30, 512e6, 1000, 1000]);
  for (const text of ['', 'GB', '-1GB', '0', '8 bits']) expect(() => memoryFlag(text)).toThrow(/8GB/);
});

test('a task is planned with its head; an encoder without one is an error', async () => {
  const encoder = join(golden, '../tasks/model');
  const planned = await runCli(['plan', '--model', encoder, '--task', 'token-classification', '--num-labels', '7']);
  expect([planned.code, planned.stdout]).toEqual([0, expect.stringContaining('(bert), token-classification: lora')]);
  const [bare, labels] = await Promise.all(
    [[], ['--num-labels', '3']].map(async (more) => {
      const flags = ['--model', encoder, '--task', 'text-classification', '--r', '1', '--target-modules', 'query'];
      return (await runCli(['plan', ...flags, ...more, '--json'])).json<PlanReport>()[0];
    }),
  );
  const width = readJson<{ hidden_size: number }>(join(encoder, 'config.json')).hidden_size;
  expect(bare?.task).toBe('text-classification');
  // A row of the classifier and its bias.
  expect((labels?.trainable_parameters ?? 0) - (bare?.trainable_parameters ?? 0)).toBe(width + 1);
  const viewer = join(golden, '../imageTask/model');
  const looking = await runCli(['plan', '--model', viewer, '--task', 'image-classification', '--batch-size', '3']);
  expect(looking.stdout).toContain('(vit), image-classification: lora');
  expect(looking.stdout).toContain('a step: 3 rows of 13 positions, an image, run as ');
  const outcome = await runCli(['plan', '--model', encoder]);
  expect([outcome.code, outcome.stderr]).toEqual([2, expect.stringContaining('expected --task with it')]);
});
