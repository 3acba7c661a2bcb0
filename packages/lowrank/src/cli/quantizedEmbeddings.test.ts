import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { EvaluateFolderResult } from '../jobs/evaluate.js';
import type { PlanReport } from '../jobs/planning/planReport.js';
import { golden, runCli, scratch } from '../testing.js';

const model = join(golden, 'tied');
const data = join(golden, 'train/rows.jsonl');
const train = (output: string, ...flags: string[]): ReturnType<typeof runCli> =>
  runCli(
    ['train', '--model', model, '--data', data, '--output', output, '--device', 'cpu', '--json', ...flags].concat([
      '--learning-rate',
      '0.01',
    ]),
  );

const lossOf = async (...args: string[]): Promise<number> => {
  const ran = await runCli(['eval', '--data', data, '--device', 'cpu', '--json', ...args]);
  const [result] = ran.json<EvaluateFolderResult>();
  if (result === undefined) throw new Error(ran.stderr);
  return result.loss;
};

test('--quantize-embeddings: trained over 8-bit rows and 4-bit layers; the base stays what it was', async () => {
  using folder = scratch();
  const [adapter, merged] = [join(folder.path, 'adapter'), join(folder.path, 'merged')];
  const flags = ['--quantization', 'nf4', '--quantize-embeddings'];
  const targets = ['--target-modules', 'q_proj,v_proj,lm_head'];
  expect((await train(adapter, '--steps', '12', ...flags, ...targets)).code).toBe(0);
  const [before, after] = [
    await lossOf('--model', model, ...flags),
    await lossOf('--model', model, '--adapter', adapter, ...flags),
  ];
  expect(after).toBeLessThan(before - 0.2);
  expect(before).not.toBe(await lossOf('--model', model, '--quantization', 'nf4'));
  // The adapter is for the folder's own numbers, and merging it changes what it says and nothing else.
  expect((await runCli(['merge', '--model', model, '--adapter', adapter, '--output', merged])).code).toBe(0);
  const dense = await lossOf('--model', model, '--adapter', adapter);
  expect(Math.abs((await lossOf('--model', merged)) / dense - 1)).toBeLessThan(1e-5);
  expect(readFileSync(join(adapter, 'adapter_config.json'), 'utf8')).not.toMatch(/quantiz/i);
});

test.each([
  [['--target-modules', 'q_proj,embed_tokens'], /an adapter at model\.embed_tokens, which --quantize-embeddings/],
  [['--modules-to-save', 'embed_tokens'], /codes at model\.embed_tokens/],
  [['--modules-to-save', 'lm_head'], /codes at lm_head/],
  [['--trainable-tokens', '1,2'], /trained token rows at model\.embed_tokens, which --quantize-embeddings/],
  [['--method', 'prompt', '--virtual-tokens', '2'], /--quantize-embeddings/],
  [['--method', 'full'], /--quantize-embeddings/],
] as const)('what trains the table is refused beside it: %j', async (flags, message) => {
  using folder = scratch();
  const ran = await train(join(folder.path, 'adapter'), '--quantize-embeddings', '--steps', '1', ...flags);
  expect(ran.code).not.toBe(0);
  expect(ran.stderr).toMatch(message);
});

test('plan counts a byte for each number of the tables, and 1B trains within a gigabyte', async () => {
  const plan = async (...flags: string[]): Promise<PlanReport> => {
    const args = ['plan', '--config', 'Llama-3.2-1B', '--method', 'qlora', '--r', '16', '--max-length', '512'];
    const [report] = (await runCli([...args, '--checkpointing', '--json', ...flags])).json<PlanReport>();
    if (report === undefined) throw new TypeError('no plan');
    return report;
  };
  const [dense, codes] = [await plan(), await plan('--quantize-embeddings')];
  const [rows, width] = [128_256, 2048];
  expect(dense.bytes.weights - codes.bytes.weights).toBe(2 * rows * width);
  expect(codes.bytes.quantized - dense.bytes.quantized).toBe(rows * (width + 4));
  expect(codes.quantize_embeddings).toBe(true);
  expect((await plan('--quantize-embeddings', '--double-quantization')).bytes.peak).toBeLessThan(1e9);
});
