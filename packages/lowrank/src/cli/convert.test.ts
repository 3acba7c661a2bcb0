import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gguf } from '@huggingface/gguf';
import type { TensorEntry } from '@lowrank/safetensors';
import { bytesSource, openSafetensors, serializeSafetensors } from '@lowrank/safetensors';
import { expect, test } from 'vitest';
import type { ConvertResult } from '../jobs/convert.js';
import { golden, readJson, runCli, scratch } from '../testing.js';

const model = join(golden, 'tied');
const adapter = join(golden, 'adapters/tied-qv');

test('convert: an adapter, a model, and a model with the adapter merged in', async () => {
  using folder = scratch();
  const output = join(folder.path, 'new/file.gguf');
  const convert = async (
    ...flags: readonly string[]
  ): Promise<{ result: ConvertResult | undefined; bytes: Buffer; read: Awaited<ReturnType<typeof gguf>> }> => {
    const outcome = await runCli(['convert', '--to', 'gguf', '--model', model, '--output', output, '--json', ...flags]);
    expect(outcome.stderr).toBe('');
    return {
      result: outcome.json<ConvertResult>()[0],
      bytes: readFileSync(output),
      read: await gguf(output, { allowLocalFile: true }),
    };
  };
  const alone = await convert('--adapter', adapter);
  expect(alone.result).toEqual({ output, kind: 'adapter', tensors: 8, bytes: alone.bytes.length });
  expect(alone.read.metadata).toMatchObject({
    'general.type': 'adapter',
    'general.name': 'tied-qv',
    'adapter.lora.alpha': 8,
  });
  const plain = await convert('--pre-tokenizer', 'llama-bpe');
  expect(plain.read.metadata).toMatchObject({
    'general.type': 'model',
    'general.name': 'tied',
    'general.file_type': 1,
    'tokenizer.ggml.pre': 'llama-bpe',
  });
  const merged = await convert('--pre-tokenizer', 'llama-bpe', '--adapter', adapter, '--merge');
  expect(merged.result).toEqual({ ...plain.result });
  expect(merged.bytes.equals(plain.bytes)).toBe(false);
  const wide = await convert('--pre-tokenizer', 'llama-bpe', '--dtype', 'f32');
  expect(wide.bytes.length).toBeGreaterThan(1.5 * plain.bytes.length);
  expect(readdirSync(join(folder.path, 'new'))).toEqual(['file.gguf']);
});

test.each([
  [['--merge'], 'cli.conflict', '--merge: expected --adapter with it'],
  [['--adapter', adapter, '--dtype', 'f16'], 'cli.conflict', '--dtype with an adapter'],
  [[], 'gguf.preTokenizer', '--pre-tokenizer llama-bpe'],
  [['--pre-tokenizer', 'llama-bpe', '--output', golden], 'cli.output', 'expected a file, got a folder'],
  [['--adapter', '/nowhere'], 'models.noFolder', 'adapter folder /nowhere'],
  [['--to', 'onnx'], 'cli.choice', '--to: expected gguf'],
])('convert %j is refused', async (flags, code, words) => {
  using folder = scratch();
  const outcome = await runCli([
    'convert',
    '--to',
    'gguf',
    '--model',
    model,
    '--output',
    join(folder.path, 'out.gguf'),
    '--json',
    ...flags,
  ]);
  expect(outcome.code).toBe(2);
  expect(outcome.stderr).toContain(words);
  expect(outcome.json<{ error: { code: string } }>().at(-1)?.error.code).toBe(code);
  expect(readdirSync(folder.path)).toEqual([]);
});

test('tables that PEFT saves along: the base’s own are left out, others are refused', async () => {
  using folder = scratch();
  const cases = join(golden, '../cases');
  const [base, saved] = [join(cases, 'tied'), join(cases, 'resized-plain-tied')];
  const output = join(folder.path, 'adapter.gguf');
  const convert = (given: string): ReturnType<typeof runCli> =>
    runCli(['convert', '--to', 'gguf', '--model', base, '--adapter', given, '--output', output, '--json']);
  const same = await convert(saved);
  expect([same.code, same.json<ConvertResult>()[0]?.kind]).toEqual([0, 'adapter']);
  const { tensorInfos } = await gguf(output, { allowLocalFile: true });
  expect(tensorInfos.every(({ name }) => /\.lora_[ab]$/.test(name))).toBe(true);

  const changed = join(folder.path, 'changed');
  cpSync(saved, changed, { recursive: true });
  const file = await openSafetensors(bytesSource(readFileSync(join(saved, 'adapter_model.safetensors'))));
  const entries: (TensorEntry & { data: Uint8Array })[] = [];
  for (const [name, { dtype, shape }] of file.tensors) {
    const data = new Uint8Array(await file.read(name));
    if (name.endsWith('embed_tokens.weight')) data[0] = (data[0] ?? 0) ^ 1;
    entries.push({ name, dtype, shape, data });
  }
  writeFileSync(join(changed, 'adapter_model.safetensors'), serializeSafetensors(entries));
  rmSync(output);
  const refused = await convert(changed);
  expect(refused.json<{ error: { code: string; message: string } }>().at(-1)?.error).toMatchObject({
    code: 'gguf.adapter',
    message: expect.stringMatching(/model\.embed_tokens\.base_layer\.weight of its own.*Merge the adapter/s) as string,
  });
  expect(existsSync(output)).toBe(false);
});

/** An adapter of PEFT in mlx-lm's layout: matrices the other way round, scale instead of alpha. */
async function asMlx(from: string, to: string): Promise<void> {
  const config = readJson<{ r: number; lora_alpha: number }>(join(from, 'adapter_config.json'));
  const file = await openSafetensors(bytesSource(readFileSync(join(from, 'adapter_model.safetensors'))));
  const entries = [];
  for (const [name, { shape }] of file.tensors) {
    const values = new Float32Array(new Uint8Array(await file.read(name)).buffer);
    const [rows = 0, columns = 0] = shape;
    const turned = Float32Array.from(values, (_, at) => values[(at % rows) * columns + Math.floor(at / rows)] ?? NaN);
    entries.push({
      name: name
        .replace('base_model.model.', '')
        .replace(/lora_([AB])\.weight/, (_, half: string) => `lora_${half.toLowerCase()}`),
      dtype: 'F32' as const,
      shape: [columns, rows],
      data: new Uint8Array(turned.buffer),
    });
  }
  mkdirSync(to);
  writeFileSync(join(to, 'adapters.safetensors'), serializeSafetensors(entries, {}));
  writeFileSync(
    join(to, 'adapter_config.json'),
    JSON.stringify({
      fine_tune_type: 'lora',
      lora_parameters: { rank: config.r, scale: config.lora_alpha / config.r, dropout: 0 },
      model: 'mlx-community/tied-4bit',
      num_layers: 2,
    }),
  );
}

test('convert --from mlx: the adapter that it was', async () => {
  using folder = scratch();
  const [mlx, output] = [join(folder.path, 'mlx'), join(folder.path, 'new/peft')];
  await asMlx(adapter, mlx);
  const outcome = await runCli([
    'convert',
    '--from',
    'mlx',
    '--adapter',
    mlx,
    '--model',
    'tied',
    '--output',
    output,
    '--json',
  ]);
  expect(outcome.stderr).toBe('');
  expect(outcome.json<ConvertResult>()[0]).toEqual({
    output,
    kind: 'adapter',
    tensors: 8,
    bytes: readFileSync(join(output, 'adapter_model.safetensors')).length,
  });
  expect(
    readFileSync(join(output, 'adapter_model.safetensors')).equals(
      readFileSync(join(adapter, 'adapter_model.safetensors')),
    ),
  ).toBe(true);
  const { r, lora_alpha } = readJson<{ r: number; lora_alpha: number }>(join(adapter, 'adapter_config.json'));
  expect(readJson(join(output, 'adapter_config.json'))).toMatchObject({
    r,
    lora_alpha,
    base_model_name_or_path: 'tied',
  });
  const loss = async (path: string): Promise<unknown> =>
    (
      await runCli([
        'eval',
        '--model',
        model,
        '--adapter',
        path,
        '--data',
        join(golden, 'train/eval.jsonl'),
        '--device',
        'cpu',
        '--json',
      ])
    )
      .json()
      .at(-1);
  expect(await loss(output)).toEqual(await loss(adapter));
});

test.each([
  [['--from', 'mlx', '--to', 'gguf', '--adapter', adapter], 'cli.conflict', '--to with --from mlx'],
  [['--from', 'mlx', '--merge', '--adapter', adapter], 'cli.conflict', '--merge with --from mlx'],
  [['--from', 'mlx'], 'cli.usage', '--adapter'],
  [['--from', 'mlx', '--adapter', adapter], 'models.noFile', 'adapters.safetensors'],
  [['--model', model], 'cli.usage', '--to'],
  [['--to', 'gguf'], 'cli.usage', '--model'],
])('convert %j is refused as well', async (flags, code, words) => {
  using folder = scratch();
  const outcome = await runCli(['convert', '--output', join(folder.path, 'out'), '--json', ...flags]);
  expect(outcome.code).toBe(2);
  expect(outcome.stderr).toContain(words);
  expect(outcome.json<{ error: { code: string } }>().at(-1)?.error.code).toBe(code);
  expect(readdirSync(folder.path)).toEqual([]);
});
