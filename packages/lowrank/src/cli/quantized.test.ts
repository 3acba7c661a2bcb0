import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { EvaluateFolderResult } from '../jobs/evaluate.js';
import { golden, readJson, runCli, scratch } from '../testing.js';

const quantized = join(golden, '../quant/models');
const model = join(golden, 'tied');
const data = join(golden, 'train/rows.jsonl');

const lossOf = async (...args: string[]): Promise<number> => {
  const ran = await runCli(['eval', '--data', data, '--device', 'cpu', '--json', ...args]);
  const [result] = ran.json<EvaluateFolderResult>();
  if (result === undefined) throw new Error(ran.stderr);
  return result.loss;
};

test.each(['nf4', 'nf4Double', 'int8'])(
  'an adapter over a folder in %s: trained, evaluated, merged into dense weights',
  async (kind) => {
    using folder = scratch();
    const [base, adapter, merged] = [join(quantized, kind), join(folder.path, 'adapter'), join(folder.path, 'merged')];
    const trained = await runCli([
      'train',
      '--model',
      base,
      '--data',
      data,
      '--output',
      adapter,
      '--steps',
      '12',
      '--learning-rate',
      '0.01',
      '--target-modules',
      'all-linear',
      '--device',
      'cpu',
      '--json',
    ]);
    expect(trained.code).toBe(0);
    const after = await lossOf('--model', base, '--adapter', adapter);
    expect(after).toBeLessThan((await lossOf('--model', base)) - 0.2);

    expect((await runCli(['merge', '--model', base, '--adapter', adapter, '--output', merged])).code).toBe(0);
    expect(readJson<object>(join(merged, 'config.json'))).not.toHaveProperty('quantization_config');
    // f16 where int8 was, f32 where 4 bits were.
    expect(Math.abs((await lossOf('--model', merged)) / after - 1)).toBeLessThan(kind === 'int8' ? 1e-3 : 1e-5);
  },
);

test('--quantization trains over codes that are made while the model loads', async () => {
  using folder = scratch();
  const adapter = join(folder.path, 'adapter');
  const flags = ['--quantization', 'nf4', '--double-quantization'];
  const trained = await runCli([
    'train',
    '--model',
    model,
    '--data',
    data,
    '--output',
    adapter,
    '--steps',
    '12',
    '--learning-rate',
    '0.01',
    '--device',
    'cpu',
    '--json',
    ...flags,
  ]);
  expect(trained.code).toBe(0);
  const [plain, codes, after] = [
    await lossOf('--model', model),
    await lossOf('--model', model, ...flags),
    await lossOf('--model', model, '--adapter', adapter, ...flags),
  ];
  expect(codes).not.toBe(plain);
  expect(after).toBeLessThan(codes - 0.2);
  const written = await runCli([
    'generate',
    '--model',
    model,
    '--adapter',
    adapter,
    '--prompt',
    'a',
    '--max-new-tokens',
    '4',
    '--device',
    'cpu',
    '--json',
    ...flags,
  ]);
  expect(written.json<{ ids: number[] }>()[0]?.ids.length).toBeGreaterThan(0);
});

test.each([
  [['--quantization', 'nf3'], /--quantization.*nf4, fp4, int8.*nf3/s],
  [['--double-quantization'], /--double-quantization.*--quantization nf4 or fp4/s],
  [['--quantization', 'int8', '--double-quantization'], /int8.*double quantization/s],
  [['--quantization', 'nf4', '--method', 'full'], /--quantization with --method full/],
])('%j is refused', async (flags, message) => {
  using folder = scratch();
  const { code, stderr } = await runCli([
    'train',
    '--model',
    model,
    '--data',
    data,
    '--output',
    join(folder.path, 'out'),
    '--device',
    'cpu',
    ...flags,
  ]);
  expect(code).toBe(2);
  expect(stderr).toMatch(message);
});

test('quantizing a folder that is quantized, or training all of it, is refused', async () => {
  using folder = scratch();
  const run = (...flags: string[]): ReturnType<typeof runCli> =>
    runCli([
      'train',
      '--model',
      join(quantized, 'nf4'),
      '--data',
      data,
      '--output',
      join(folder.path, 'out'),
      '--device',
      'cpu',
      ...flags,
    ]);
  const [again, full] = [await run('--quantization', 'nf4'), await run('--method', 'full')];
  expect([again.code, full.code]).toEqual([2, 2]);
  expect(again.stderr).toMatch(/already/);
  expect(full.stderr).toMatch(/Quantized weights are trained through an adapter/);
});
