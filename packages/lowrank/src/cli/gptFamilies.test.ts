import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { EvaluateFolderResult } from '../jobs/evaluate.js';
import { golden, readJson, runCli, scratch } from '../testing.js';

const data = join(golden, 'train/rows.jsonl');
const folderOf = (variant: string): string =>
  fileURLToPath(new URL(`../../../../parity/golden/gpt/${variant}`, import.meta.url));

test('an adapter of GPT-2 says that its layers hold W as [in, out]', async () => {
  using folder = scratch();
  const run = await runCli([
    'train',
    '--model',
    folderOf('gpt2'),
    '--data',
    data,
    '--output',
    folder.path,
    '--target-modules',
    'all-linear',
    '--steps',
    '1',
    '--device',
    'cpu',
    '--json',
  ]);
  expect(run.code).toBe(0);
  expect(readJson(join(folder.path, 'adapter_config.json'))).toMatchObject({
    target_modules: ['c_attn', 'c_fc', 'c_proj'],
    fan_in_fan_out: true,
  });
});

test(
  'an adapter of an embedding is trained, loaded and merged; an output projection that was the same table ' +
    'keeps it as it was',
  async () => {
    using folder = scratch();
    const train = async (variant: string, targets: string): Promise<string> => {
      const output = join(folder.path, variant);
      const flags = [
        '--target-modules',
        targets,
        '--steps',
        '5',
        '--batch-size',
        '8',
        '--learning-rate',
        '0.02',
        '--device',
        'cpu',
        '--json',
      ];
      expect(
        (await runCli(['train', '--model', folderOf(variant), '--data', data, '--output', output, ...flags])).code,
      ).toBe(0);
      return output;
    };
    const evaluate = async (flags: string[]): Promise<number> =>
      (await runCli(['eval', ...flags, '--data', data, '--device', 'cpu', '--json'])).json<EvaluateFolderResult>()[0]
        ?.loss ?? NaN;
    const [neox, gpt2] = [await train('gptNeox', 'embed_in,dense'), await train('gpt2', 'wte,wpe')];
    for (const [variant, adapter] of [
      ['gptNeox', neox],
      ['gpt2', gpt2],
    ] as const) {
      expect(await evaluate(['--model', folderOf(variant), '--adapter', adapter])).toBeLessThan(
        await evaluate(['--model', folderOf(variant)]),
      );
    }
    for (const [variant, adapter] of [
      ['gptNeox', neox],
      ['gpt2', gpt2],
    ] as const) {
      const merged = join(folder.path, `${variant}-merged`);
      expect(
        (await runCli(['merge', '--model', folderOf(variant), '--adapter', adapter, '--output', merged])).code,
      ).toBe(0);
      expect(await evaluate(['--model', merged])).toBeCloseTo(
        await evaluate(['--model', folderOf(variant), '--adapter', adapter]),
        4,
      );
    }
    expect(readJson(join(folder.path, 'gpt2-merged', 'config.json'))).toMatchObject({ tie_word_embeddings: false });
  },
);

test(
  'an adapter trained over quantized layers, which are [out, in], is merged into the dense ones, ' + 'square or not',
  async () => {
    using folder = scratch();
    const [adapter, merged] = [join(folder.path, 'adapter'), join(folder.path, 'merged')];
    const flags = [
      '--quantization',
      'nf4',
      '--target-modules',
      'c_attn,c_proj',
      '--steps',
      '5',
      '--batch-size',
      '8',
      '--learning-rate',
      '0.02',
      '--device',
      'cpu',
      '--json',
    ];
    expect(
      (await runCli(['train', '--model', folderOf('gpt2Untied'), '--data', data, '--output', adapter, ...flags])).code,
    ).toBe(0);
    const evaluate = async (more: string[]): Promise<number> =>
      (await runCli(['eval', ...more, '--data', data, '--device', 'cpu', '--json'])).json<EvaluateFolderResult>()[0]
        ?.loss ?? NaN;
    expect(
      (await runCli(['merge', '--model', folderOf('gpt2Untied'), '--adapter', adapter, '--output', merged])).code,
    ).toBe(0);
    expect(await evaluate(['--model', merged])).toBeCloseTo(
      await evaluate(['--model', folderOf('gpt2Untied'), '--adapter', adapter]),
      4,
    );
    // A folder of codes becomes one of dense weights, the way round that its layers have them.
    const dense = join(folder.path, 'dense');
    expect(
      (await runCli(['merge', '--model', folderOf('gpt2Untied-nf4'), '--adapter', adapter, '--output', dense])).code,
    ).toBe(0);
    expect(await evaluate(['--model', dense])).toBeCloseTo(
      await evaluate(['--model', folderOf('gpt2Untied-nf4'), '--adapter', adapter]),
      4,
    );
  },
);

test('a full fine-tuning of GPT-2 is a GPT-2', async () => {
  using folder = scratch();
  const output = join(folder.path, 'tuned');
  const flags = [
    '--method',
    'full',
    '--steps',
    '3',
    '--batch-size',
    '4',
    '--learning-rate',
    '0.003',
    '--device',
    'cpu',
    '--json',
  ];
  const run = await runCli(['train', '--model', folderOf('gpt2'), '--data', data, '--output', output, ...flags]);
  expect(run.code).toBe(0);
  const [evaluated] = (
    await runCli(['eval', '--model', output, '--data', data, '--device', 'cpu', '--json'])
  ).json<EvaluateFolderResult>();
  const [before] = (
    await runCli(['eval', '--model', folderOf('gpt2'), '--data', data, '--device', 'cpu', '--json'])
  ).json<EvaluateFolderResult>();
  expect(evaluated?.loss).toBeLessThan(before?.loss ?? 0);
});
