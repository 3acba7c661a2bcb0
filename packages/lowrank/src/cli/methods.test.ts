import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { EvaluateFolderResult } from '../jobs/evaluate.js';
import type { FineTuneResult } from '../jobs/fineTune.js';
import type { Metrics } from '../metricsFile.js';
import { golden, readJson, runCli, scratch } from '../testing.js';

const model = join(golden, 'tied');
const data = join(golden, 'train/rows.jsonl');
const gpt2 = join(golden, '../gpt/gpt2');

async function train(output: string, ...flags: string[]): Promise<{ result: FineTuneResult; losses: number[] }> {
  const ran = await runCli([
    'train',
    '--data',
    data,
    '--output',
    output,
    '--batch-size',
    '4',
    '--no-shuffle',
    '--device',
    'cpu',
    '--json',
    ...(flags.includes('--model') ? [] : ['--model', model]),
    ...flags,
  ]);
  if (ran.code !== 0) throw new Error(ran.stderr);
  const lines = ran.json<Metrics>();
  return { result: lines.pop() as unknown as FineTuneResult, losses: lines.map(({ loss }) => loss) };
}

async function lossOf(...args: string[]): Promise<EvaluateFolderResult> {
  const ran = await runCli([
    'eval',
    '--data',
    data,
    '--device',
    'cpu',
    '--json',
    ...(args.includes('--model') ? [] : ['--model', model]),
    ...args,
  ]);
  const [result] = ran.json<EvaluateFolderResult>();
  if (result === undefined || ran.code !== 0) throw new Error(ran.stderr);
  return result;
}

const methods = [
  { method: 'bitfit', rate: '0.02', flags: [], parameters: 2 * (24 + 12 + 12 + 24 + 40 + 40 + 24), peftType: 'BEFT' },
  { method: 'prompt', rate: '0.1', flags: ['--virtual-tokens', '5'], parameters: 5 * 24, peftType: 'PROMPT_TUNING' },
  {
    method: 'prefix',
    rate: '0.1',
    flags: ['--virtual-tokens', '5'],
    parameters: 5 * 2 * 2 * 12,
    peftType: 'PREFIX_TUNING',
  },
  {
    method: 'adapter',
    rate: '0.01',
    flags: ['--bottleneck', '8'],
    parameters: 4 * (2 * 8 * 24 + 8 + 24),
    peftType: 'HOULSBY_ADAPTER',
  },
] as const;

test.each(methods)(
  '--method $method: trained, gone on from, evaluated, generated with, looked at',
  async ({ method, rate, flags, parameters, peftType }) => {
    using folder = scratch();
    const [first, second] = [join(folder.path, 'first'), join(folder.path, 'second')];
    const { result } = await train(first, '--method', method, '--learning-rate', rate, '--steps', '12', ...flags);
    expect(result).toMatchObject({
      adapter: first,
      model: null,
      trained_parameters: parameters,
      file_bytes: statSync(join(first, 'adapter_model.safetensors')).size,
    });
    expect(readJson<object>(join(first, 'adapter_config.json'))).toMatchObject({
      peft_type: peftType,
      base_model_name_or_path: model,
    });

    const base = await lossOf();
    const after = await lossOf('--adapter', first);
    expect(after.tokens).toBe(base.tokens);
    expect(after.loss).toBeLessThan(base.loss - 0.2);

    const { losses } = await train(
      second,
      '--method',
      method,
      '--learning-rate',
      rate,
      '--steps',
      '6',
      '--init-adapter',
      first,
    );
    expect(losses[0]).toBeLessThan(base.loss);
    expect((await lossOf('--adapter', second)).loss).toBeLessThan(after.loss);

    const written = await runCli([
      'generate',
      '--model',
      model,
      '--adapter',
      first,
      '--prompt',
      'name: ada',
      '--max-new-tokens',
      '6',
      '--device',
      'cpu',
      '--json',
    ]);
    expect(written.json<{ ids: number[] }>()[0]?.ids.length).toBeGreaterThan(0);
    const seen = await runCli(['inspect', '--adapter', first, '--json']);
    expect(seen.json<{ peft_type: string; parameters: number; problem: string | null }>()[0]).toMatchObject({
      peft_type: peftType,
      parameters,
      problem: null,
    });
  },
);

test.each(methods)(
  '--method $method: padding, packing, accumulation and recomputed layers give the same losses',
  async ({ method, rate, flags }) => {
    using folder = scratch();
    const run = async (name: string, ...more: string[]): Promise<number[]> =>
      (
        await train(
          join(folder.path, name),
          '--method',
          method,
          '--learning-rate',
          rate,
          '--steps',
          '4',
          ...flags,
          ...more,
        )
      ).losses;
    const packed = await run('packed');
    const others = [
      await run('padded', '--no-packing'),
      await run('halves', '--batch-size', '2', '--gradient-accumulation', '2'),
      await run('again', '--checkpointing'),
    ];
    for (const losses of others)
      losses.forEach((loss, at) => expect(Math.abs(loss / (packed[at] ?? NaN) - 1)).toBeLessThan(2e-5));
  },
);

const conflicts = [
  [['--method', 'bitfit', '--r', '8'], '--r with --method bitfit'],
  [['--method', 'prompt', '--target-modules', 'q_proj'], '--target-modules with --method prompt'],
  [['--method', 'prefix', '--prompt-init-text', 'a'], '--prompt-init-text with --method prefix'],
  [['--method', 'adapter', '--virtual-tokens', '3'], '--virtual-tokens with --method adapter'],
  [['--method', 'lora', '--bottleneck', '3'], '--bottleneck with --method lora'],
  [['--method', 'full', '--virtual-init', 'zero'], '--virtual-init with --method full'],
  [
    ['--method', 'prompt', '--virtual-init', 'zero'],
    '--virtual-init with --method prompt: expected random or vocab, got zero',
  ],
  [
    ['--method', 'prefix', '--virtual-init', 'vocab'],
    '--virtual-init with --method prefix: expected random or zero, got vocab',
  ],
  [
    ['--method', 'prompt', '--virtual-init', 'vocab', '--prompt-init-text', 'a'],
    '--virtual-init with --prompt-init-text',
  ],
  [['--method', 'prompt', '--virtual-tokens', '127'], 'virtual tokens: expected a whole number from 1 to 126'],
  [
    ['--method', 'prefix', '--init-adapter', join(golden, 'adapters/tied-qv')],
    '--init-adapter with --method prefix: expected a folder of prefix tuning, got LoRA',
  ],
  [
    ['--init-adapter', join(golden, '../methods/promptLlama')],
    '--init-adapter with --method lora: expected a folder of LoRA, got prompt tuning',
  ],
] as const;

test.each(conflicts)('train %j: refused', async (flags, complaint) => {
  using folder = scratch();
  const output = join(folder.path, 'out');
  const { code, stderr } = await runCli([
    'train',
    '--model',
    model,
    '--data',
    data,
    '--output',
    output,
    '--device',
    'cpu',
    ...flags,
  ]);
  expect(stderr).toContain(complaint);
  expect(code).toBe(2);
});

test('what takes LoRA alone says so, and what a folder was made with holds', async () => {
  using folder = scratch();
  const adapter = join(folder.path, 'adapter');
  await train(adapter, '--method', 'prompt', '--virtual-tokens', '3', '--steps', '1');
  const output = join(folder.path, 'out');
  for (const argv of [
    ['combine', '--adapter', `${adapter}=1`, '--output', output],
    ['convert', '--to', 'gguf', '--model', model, '--adapter', adapter, '--output', output],
    ['chat', '--model', model, '--adapter', adapter, '--device', 'cpu', '--template', join(golden, 'tied/config.json')],
  ]) {
    const { code, stderr } = await runCli(argv, { input: [] });
    expect(stderr).toMatch(/adapter folder .*: expected LoRA, .*, got prompt tuning/);
    expect(code).toBe(2);
  }
  expect((await runCli(['merge', '--model', model, '--adapter', adapter, '--output', output])).stderr).toContain(
    'merging prompt tuning: expected a method that changes weights',
  );
  for (const [flags, complaint] of [
    [['--virtual-tokens', '4'], '--virtual-tokens with --init-adapter: expected 3'],
    [['--virtual-init', 'vocab'], '--virtual-init with --init-adapter'],
  ] as const) {
    const { code, stderr } = await runCli([
      'train',
      '--model',
      model,
      '--data',
      data,
      '--output',
      output,
      '--device',
      'cpu',
      '--method',
      'prompt',
      '--init-adapter',
      adapter,
      ...flags,
    ]);
    expect(stderr).toContain(complaint);
    expect(code).toBe(2);
  }
  const { stderr } = await runCli([
    'train',
    '--model',
    model,
    '--data',
    data,
    '--output',
    output,
    '--device',
    'cpu',
    '--method',
    'prefix',
    '--init-adapter',
    adapter,
  ]);
  expect(stderr).toContain('expected a folder of prefix tuning, got prompt tuning. Use --method prompt.');
});

test('prompt tuning begins as a text: its embeddings, again and again', async () => {
  using folder = scratch();
  const { result } = await train(
    folder.path,
    '--method',
    'prompt',
    '--virtual-tokens',
    '7',
    '--prompt-init-text',
    'ada of rome',
    '--steps',
    '1',
    '--learning-rate',
    '0',
  );
  expect(result.trained_parameters).toBe(7 * 24);
  expect(readJson<object>(join(folder.path, 'adapter_config.json'))).toMatchObject({
    prompt_tuning_init: 'TEXT',
    prompt_tuning_init_text: 'ada of rome',
    tokenizer_name_or_path: model,
  });
  const bytes = readFileSync(join(folder.path, 'adapter_model.safetensors'));
  const table = new Float32Array(new Uint8Array(bytes.subarray(-7 * 24 * 4)).buffer);
  const base = readFileSync(join(model, 'model.safetensors'));
  // BOS first, as the tokenizer has it: row 1 of the embedding.
  const first = Buffer.from(table.buffer, 0, 24 * 4);
  expect(base.includes(first)).toBe(true);
});

test('over codes, and on GPT-2, whose biases and norms are trained', async () => {
  using folder = scratch();
  for (const { method, rate, flags } of methods) {
    const over = await train(
      join(folder.path, `${method}-nf4`),
      '--method',
      method,
      '--learning-rate',
      rate,
      '--steps',
      '8',
      '--quantization',
      'nf4',
      ...flags,
    );
    expect(over.losses.at(-1)).toBeLessThan((over.losses[0] ?? 0) - 0.1);
    const other = await train(
      join(folder.path, `${method}-gpt2`),
      '--model',
      gpt2,
      '--method',
      method,
      '--learning-rate',
      rate,
      '--steps',
      '8',
      ...flags,
    );
    expect(other.losses.at(-1)).toBeLessThan((other.losses[0] ?? 0) - 0.1);
    expect((await lossOf('--model', gpt2, '--adapter', join(folder.path, `${method}-gpt2`))).loss).toBeLessThan(
      (await lossOf('--model', gpt2)).loss,
    );
  }
  expect(readJson<object>(join(folder.path, 'bitfit-gpt2/adapter_config.json'))).toMatchObject({
    peft_type: 'BITFIT',
    target_modules: expect.arrayContaining(['c_attn', 'ln_1']) as string[],
  });
});

test(
  'BitFit merges into a model whose config says that it has biases: the same losses, in a folder that needs no ' +
    'adapter',
  async () => {
    using folder = scratch();
    const cases = [
      { name: 'llama', base: model, flags: [], config: { attention_bias: true, mlp_bias: true } },
      { name: 'one', base: model, flags: ['--target-modules', 'v_proj'], config: { attention_bias: true } },
      { name: 'biased', base: join(golden, 'bias'), flags: [], config: { attention_bias: true, mlp_bias: true } },
      { name: 'gpt2', base: gpt2, flags: [], config: { model_type: 'gpt2' } },
      {
        name: 'codes',
        base: join(golden, '../quant/models/nf4'),
        flags: [],
        config: { attention_bias: true, mlp_bias: true },
      },
    ];
    for (const { name, base, flags, config } of cases) {
      const [adapter, merged] = [join(folder.path, name), join(folder.path, `${name}-merged`)];
      await train(adapter, '--model', base, '--method', 'bitfit', '--learning-rate', '0.02', '--steps', '4', ...flags);
      const ran = await runCli(['merge', '--model', base, '--adapter', adapter, '--output', merged, '--json']);
      expect(ran.stderr).toBe('');
      expect(readJson<object>(join(merged, 'config.json'))).toMatchObject(config);
      const [beside, within] = [await lossOf('--model', base, '--adapter', adapter), await lossOf('--model', merged)];
      expect(Math.abs(within.loss / beside.loss - 1)).toBeLessThan(1e-6);
      expect(Math.abs(within.loss / (await lossOf('--model', base)).loss - 1)).toBeGreaterThan(1e-3);
    }
    const gemma = join(golden, '../families/gemma');
    await train(join(folder.path, 'gemma'), '--model', gemma, '--method', 'bitfit', '--steps', '1');
    const refused = await runCli([
      'merge',
      '--model',
      gemma,
      '--adapter',
      join(folder.path, 'gemma'),
      '--output',
      join(folder.path, 'gemma-merged'),
    ]);
    expect(refused.stderr).toContain(
      'merging BitFit into a gemma: expected a family whose config can say that its linear layers have biases',
    );
    expect(existsSync(join(folder.path, 'gemma-merged'))).toBe(false);
  },
);

test.each(methods)(
  'plan --method $method: the parameters and the file of the run itself',
  async ({ method, flags, parameters }) => {
    using folder = scratch();
    const { result } = await train(folder.path, '--method', method, '--steps', '1', ...flags);
    const planned = await runCli([
      'plan',
      '--model',
      model,
      '--method',
      method,
      '--dtype',
      'f32',
      '--max-length',
      '64',
      '--device',
      'cpu',
      '--json',
      ...flags,
    ]);
    expect(planned.json<{ trainable_parameters: number; file_bytes: { bits32: number } }>()[0]).toMatchObject({
      method,
      trainable_parameters: parameters,
      file_bytes: { bits32: result.file_bytes },
      r: null,
    });
    const { stderr, code } = await runCli([
      'plan',
      '--model',
      model,
      '--method',
      method,
      ...(method === 'adapter' ? ['--virtual-tokens', '3'] : ['--bottleneck', '3']),
    ]);
    expect(stderr).toContain(`with --method ${method}`);
    expect(code).toBe(2);
  },
);
