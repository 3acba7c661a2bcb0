import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { FineTuneResult } from '../jobs/fineTune.js';
import type { EvaluateFolderResult } from '../jobs/evaluate.js';
import type { Metrics } from '../metricsFile.js';
import { copyOf, expectClose, golden, readJson, readLines, runCli, scratch, trainGolden } from '../testing.js';
import type { Trajectory } from '../testing.js';

const model = join(golden, 'tied');
const data = join(golden, 'train/rows.jsonl');
const evalData = join(golden, 'train/eval.jsonl');

test.each(['lora', 'full'] as const)(
  'train: the golden trajectory of method %s, then the loss and the answers that PyTorch has',
  async (method) => {
    using folder = scratch();
    const output = join(folder.path, 'out');
    const { result, metrics, expected } = await trainGolden({ method, output });
    expectClose(
      metrics.map(({ loss }) => loss),
      expected.losses,
      1e-4,
    );
    expectClose(
      metrics.map(({ grad_norm }) => grad_norm),
      expected.gradNorms,
      1e-4,
    );
    expectClose(
      metrics.map(({ learning_rate }) => learning_rate),
      expected.learningRates,
      1e-12,
    );
    expect(metrics.map(({ step }) => step)).toEqual(Array.from({ length: 12 }, (_, at) => at + 1));
    expect(result).toMatchObject({
      steps: 12,
      final_loss: metrics[11]?.loss,
      tokens: metrics.reduce((total, { tokens }) => total + tokens, 0),
    });
    expect(result).toMatchObject(
      method === 'lora' ? { adapter: output, model: null } : { adapter: null, model: output },
    );
    expectClose([result.eval_loss ?? NaN], [expected.after.eval.loss], 1e-4);

    const trained = method === 'lora' ? ['--model', model, '--adapter', output] : ['--model', output];
    const text = await runCli([
      'eval',
      ...trained,
      '--data',
      join(golden, 'train/text.jsonl'),
      '--device',
      'cpu',
      '--json',
    ]);
    const [evaluated] = text.json<EvaluateFolderResult>();
    expect(evaluated).toMatchObject({ tokens: expected.after.text.tokens, rows: expected.after.text.rows });
    expectClose(
      [evaluated?.loss ?? NaN, evaluated?.perplexity ?? NaN],
      [expected.after.text.loss, Math.exp(expected.after.text.loss)],
      1e-3,
    );

    for (const { prompt, ids } of expected.greedyAfter) {
      const generated = await runCli([
        'generate',
        ...trained,
        '--prompt',
        prompt,
        '--max-new-tokens',
        String(ids.length),
        '--temperature',
        '0',
        '--device',
        'cpu',
        '--json',
      ]);
      expect(generated.json<{ ids: number[] }>()[0]?.ids).toEqual(ids);
    }
  },
);

test('train: padded rows and accumulated batches go the same way', async () => {
  using folder = scratch();
  const { metrics, expected } = await trainGolden({
    method: 'lora',
    output: join(folder.path, 'padded'),
    flags: ['--no-packing', '--batch-size', '2', '--gradient-accumulation', '2'],
  });
  expectClose(
    metrics.map(({ loss }) => loss),
    expected.losses,
    1e-4,
  );
  expectClose(
    metrics.map(({ grad_norm }) => grad_norm),
    expected.gradNorms,
    1e-4,
  );
});

test(
  'train: a new adapter has the rank, alpha and targets that were asked for, and begins as the ' + 'base model',
  async () => {
    using folder = scratch();
    const output = join(folder.path, 'a/b');
    const flags = [
      '--r',
      '3',
      '--alpha',
      '6',
      '--target-modules',
      'q_proj,down_proj',
      '--steps',
      '2',
      '--batch-size',
      '3',
      '--dropout',
      '0.1',
      '--device',
      'cpu',
      '--json',
    ];
    const { code, stderr } = await runCli(['train', '--model', model, '--data', data, '--output', output, ...flags]);
    expect(stderr).toContain('training ');
    expect(code).toBe(0);
    const config = readJson<{
      r: number;
      lora_alpha: number;
      target_modules: string[];
      lora_dropout: number;
      peft_type: string;
    }>(join(output, 'adapter_config.json'));
    expect(config).toMatchObject({ r: 3, lora_alpha: 6, lora_dropout: 0.1, peft_type: 'LORA' });
    expect(new Set(config.target_modules)).toEqual(new Set(['q_proj', 'down_proj']));
    expect(readdirSync(output)).toEqual(
      expect.arrayContaining(['adapter_config.json', 'adapter_model.safetensors', 'metrics.jsonl']),
    );
    expect(
      readdirSync(output).filter((name) => name.startsWith('.') || name.includes('partial') || name.endsWith('.tmp')),
    ).toEqual([]);
  },
);

test('train: Ctrl-C finishes the step, saves, says so, and ends with 130', async () => {
  using folder = scratch();
  const argv = [
    'train',
    '--model',
    model,
    '--data',
    data,
    '--output',
    folder.path,
    '--steps',
    '100000',
    '--device',
    'cpu',
    '--json',
  ];
  const outcome = await runCli(argv, { interruptWhen: (stdout) => stdout.split('\n').length > 3 });
  expect(outcome.code).toBe(130);
  expect(outcome.stderr).toContain('interrupted');
  const result = outcome.json<FineTuneResult>().at(-1);
  expect(result).toMatchObject({ interrupted: true, adapter: folder.path, eval_loss: null });
  expect(result?.steps).toBeLessThan(20);
  expect(readLines<Metrics>(join(folder.path, 'metrics.jsonl')).length).toBe(result?.steps);
  expect(
    (await runCli(['eval', '--model', model, '--adapter', folder.path, '--data', evalData, '--device', 'cpu'])).code,
  ).toBe(0);
});

test('train: a loss that is not finite names the step and the op, and leaves nothing', async () => {
  using folder = scratch();
  const output = join(folder.path, 'out');
  const outcome = await runCli([
    'train',
    '--model',
    model,
    '--data',
    data,
    '--output',
    output,
    '--learning-rate',
    '1e30',
    '--steps',
    '5',
    '--device',
    'cpu',
    '--json',
  ]);
  expect(outcome.code).toBe(2);
  expect(outcome.stderr).toMatch(/step \d: expected a finite loss and gradient.*made by \w+ in model\./);
  expect(outcome.json<{ error: { code: string } }>().at(-1)?.error.code).toBe('trainer.nonFinite');
  expect(readdirSync(folder.path)).toEqual([]);
});

test('train: an adapter to go on from rules; flags that contradict it are told, flags that agree are not', async () => {
  using folder = scratch();
  const argv = [
    'train',
    '--model',
    model,
    '--data',
    data,
    '--output',
    join(folder.path, 'out'),
    '--init-adapter',
    join(golden, 'train/lora/init'),
    '--steps',
    '1',
    '--device',
    'cpu',
  ];
  for (const [flag, value] of [
    ['--r', '8'],
    ['--alpha', '3'],
    ['--target-modules', 'q_proj'],
  ] as const) {
    const outcome = await runCli([...argv, flag, value]);
    expect(outcome.code).toBe(2);
    expect(outcome.stderr).toContain(flag);
    expect(outcome.stderr).toContain('--init-adapter');
  }
  expect(readdirSync(folder.path)).toEqual([]);
  expect(await runCli([...argv, '--r', '4', '--alpha', '8', '--target-modules', 'all-linear'])).toMatchObject({
    code: 0,
  });
});

test('train: target modules that match nothing, and rows without a label, are told', async () => {
  using folder = scratch();
  const argv = ['train', '--model', model, '--output', join(folder.path, 'out'), '--device', 'cpu'];
  const unmatched = await runCli([...argv, '--data', data, '--target-modules', 'q_proj,query']);
  expect(unmatched).toMatchObject({ code: 2 });
  expect(unmatched.stderr).toContain('query');
  const rows = join(folder.path, 'rows.jsonl');
  writeFileSync(
    rows,
    '{"prompt": "a long prompt that leaves no room", "completion": "b"}\n{"prompt": "name: x", "completion": "y"}\n',
  );
  const cut = await runCli([...argv, '--data', rows, '--max-length', '3']);
  expect(cut).toMatchObject({ code: 2 });
  expect(cut.stderr).toMatch(/lines? 1/);
  expect(readdirSync(folder.path)).toEqual(['rows.jsonl']);
});

test('eval: the base loss is that of transformers', async () => {
  const expected = readJson<Trajectory>(join(golden, 'train/lora.json')).before;
  const outcome = await runCli(['eval', '--model', model, '--data', evalData, '--device', 'cpu', '--json']);
  const [result] = outcome.json<EvaluateFolderResult>();
  expect(result).toMatchObject({ tokens: expected.tokens, rows: expected.rows });
  expectClose([result?.loss ?? NaN], [expected.loss], 1e-5);
});

test('merge: merged and adapted model agree, and all files that a model needs are there', async () => {
  using folder = scratch();
  const [output, adapter] = [join(folder.path, 'merged'), join(golden, 'adapters/tied-all')];
  const merged = await runCli([
    'merge',
    '--model',
    model,
    '--adapter',
    adapter,
    '--output',
    output,
    '--device',
    'cpu',
    '--json',
  ]);
  expect(merged).toMatchObject({ code: 0 });
  expect(merged.json<object>()[0]).toMatchObject({ model: output });
  expect(readFileSync(join(output, 'tokenizer.json'))).toEqual(readFileSync(join(model, 'tokenizer.json')));
  const loss = async (flags: readonly string[]): Promise<number> =>
    (await runCli(['eval', ...flags, '--data', evalData, '--device', 'cpu', '--json'])).json<EvaluateFolderResult>()[0]
      ?.loss ?? NaN;
  expectClose([await loss(['--model', output])], [await loss(['--model', model, '--adapter', adapter])], 1e-5);
  expect(
    (await runCli(['merge', '--model', model, '--adapter', adapter, '--output', model, '--device', 'cpu'])).code,
  ).toBe(2);
  expect(
    (await runCli(['merge', '--model', model, '--adapter', adapter, '--output', adapter, '--device', 'cpu'])).code,
  ).toBe(2);
});

test('models and adapters that do not fit are told, and nothing is written', async () => {
  using folder = scratch();
  const spoiled = copyOf('tied', join(folder.path, 'model'));
  const config = readJson<object>(join(spoiled, 'config.json'));
  const attempt = async (words: RegExp, flags: readonly string[] = []): Promise<void> => {
    const outcome = await runCli([
      'train',
      '--model',
      spoiled,
      '--data',
      data,
      '--output',
      join(folder.path, 'out'),
      '--device',
      'cpu',
      ...flags,
    ]);
    expect(outcome.stderr).toMatch(words);
    expect(outcome.stderr).not.toMatch(/^\s+at /m);
    expect(outcome.code).toBe(2);
    expect(readdirSync(folder.path)).toEqual(['model']);
  };
  writeFileSync(join(spoiled, 'config.json'), JSON.stringify({ ...config, model_type: 'mamba' }));
  await attempt(/mamba/);
  writeFileSync(join(spoiled, 'config.json'), JSON.stringify({ ...config, vocab_size: 97 }));
  await attempt(/embed_tokens/);
  writeFileSync(join(spoiled, 'config.json'), JSON.stringify({ ...config, num_hidden_layers: 3 }));
  await attempt(/layers\.2/);
  writeFileSync(join(spoiled, 'config.json'), '{');
  await attempt(/config\.json/);
  writeFileSync(join(spoiled, 'config.json'), JSON.stringify(config));
  await attempt(/expected.*got/, ['--init-adapter', join(golden, 'adapters/headDim16-all')]);
  const weights = readFileSync(join(spoiled, 'model.safetensors'));
  writeFileSync(join(spoiled, 'model.safetensors'), weights.subarray(0, weights.length - 4));
  await attempt(/model\.safetensors/);
  rmSync(join(spoiled, 'model.safetensors'));
  await attempt(/model\.safetensors/);
  rmSync(join(spoiled, 'tokenizer.json'));
  await attempt(/tokenizer\.json/);
});

test('doctor tells what there is', async () => {
  const outcome = await runCli(['doctor', '--json']);
  expect(outcome.code).toBe(0);
  const [findings] = outcome.json<{ cpu: { description: string }; auto: string; adapters: object[] }>();
  expect(findings?.cpu.description).toContain('WebAssembly');
  expect(['cpu', 'webgpu']).toContain(findings?.auto);
  expect((await runCli(['doctor'])).stdout).toContain('--device auto takes');
});
