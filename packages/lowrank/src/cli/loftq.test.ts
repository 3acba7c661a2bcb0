import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { EvaluateFolderResult } from '../jobs/evaluate.js';
import { golden, readJson, runCli, scratch } from '../testing.js';

const model = join(golden, 'untied');
const data = join(golden, 'train/rows.jsonl');
const quantized = fileURLToPath(new URL('../../../../parity/golden/quant/models/nf4', import.meta.url));

async function loss(flags: readonly string[]): Promise<number> {
  const outcome = await runCli([
    'eval',
    '--data',
    join(golden, 'train/eval.jsonl'),
    '--device',
    'cpu',
    '--json',
    ...flags,
  ]);
  if (outcome.code !== 0) throw new Error(outcome.stderr);
  return outcome.json<EvaluateFolderResult>()[0]?.loss ?? NaN;
}

test(
  '--init-lora-weights loftq: over the quantized model the adapter brings the loss nearer to the unquantized ' +
    'one’s; its file is an ordinary one',
  async () => {
    using folder = scratch();
    const argv = [
      'train',
      '--model',
      model,
      '--data',
      data,
      '--steps',
      '1',
      '--learning-rate',
      '0',
      '--target-modules',
      'all-linear',
      '--r',
      '8',
      '--device',
      'cpu',
    ];
    const adapter = join(folder.path, 'adapter');
    const outcome = await runCli([
      ...argv,
      '--output',
      adapter,
      '--quantization',
      'nf4',
      '--double-quantization',
      '--init-lora-weights',
      'loftq',
    ]);
    expect([outcome.code, outcome.stderr.includes('training')]).toEqual([0, true]);
    expect(readJson<object>(join(adapter, 'adapter_config.json'))).toMatchObject({ init_lora_weights: true, r: 8 });
    const codes = ['--quantization', 'nf4', '--double-quantization'];
    const [base, plain, loftq] = [
      await loss(['--model', model]),
      await loss(['--model', model, ...codes]),
      await loss(['--model', model, '--adapter', adapter, ...codes]),
    ];
    expect(Math.abs(loftq - base)).toBeLessThan(0.6 * Math.abs(plain - base));
  },
);

test.each([
  [['--init-lora-weights', 'loftq'], model, /--init-lora-weights loftq: expected --quantization/],
  [['--init-lora-weights', 'corda'], model, /--init-lora-weights: expected kaiming, .*pissa_niter_N, got corda/],
  [
    ['--init-lora-weights', 'gaussian', '--init-adapter', join(golden, 'train/lora/init')],
    model,
    /--init-lora-weights with --init-adapter/,
  ],
  [['--init-lora-weights', 'gaussian', '--method', 'full'], model, /--init-lora-weights with --method full/],
  [['--init-lora-weights', 'loftq', '--quantization', 'nf4'], quantized, /quantiz/],
])('%j is refused', async (flags, from, words) => {
  using folder = scratch();
  const outcome = await runCli([
    'train',
    '--model',
    from,
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
