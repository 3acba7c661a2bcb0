import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openFolder, openWeights } from '@lowrank/models';
import type { SafetensorsFile } from '@lowrank/safetensors';
import { serializeSafetensors } from '@lowrank/safetensors';
import { describe, expect, test } from 'vitest';
import type { QuantizeResult } from '../jobs/quantize.js';
import { Speaker } from './io.js';
import { quantizeCommand } from './quantizeCommand.js';
import { copyOf, golden, readJson, runCli, scratch } from '../testing.js';

/** What transformers and bitsandbytes make of the same model (parity/quant.py). */
const theirs = fileURLToPath(new URL('../../../../parity/golden/quant/models', import.meta.url));
const model = join(golden, 'untied');

const weightsOf = async (folder: string): Promise<SafetensorsFile> => openWeights(await openFolder(folder));

async function quantize(flags: readonly string[], from = model): Promise<{ result: QuantizeResult; stderr: string }> {
  const outcome = await runCli(['quantize', '--model', from, ...flags, '--json']);
  if (outcome.code !== 0) throw new Error(outcome.stderr);
  const [result] = outcome.json<QuantizeResult>();
  if (result === undefined) throw new Error('no result');
  return { result, stderr: outcome.stderr };
}

async function expectSameTensors(ours: SafetensorsFile, golden: SafetensorsFile): Promise<void> {
  const shapes = ({ tensors }: SafetensorsFile): unknown =>
    new Map([...tensors.values()].map(({ name, dtype, shape }) => [name, [dtype, shape]]));
  expect(shapes(ours)).toEqual(shapes(golden));
  for (const name of golden.tensors.keys())
    expect([name, new Uint8Array(await ours.read(name))]).toEqual([name, new Uint8Array(await golden.read(name))]);
}

test.each([
  ['nf4', ['--type', 'nf4']],
  ['nf4Double', ['--type', 'nf4', '--double-quantization']],
  ['fp4', ['--type', 'fp4']],
  ['int8', ['--type', 'int8']],
  ['nf4Skip', ['--type', 'nf4', '--skip-modules', 'down_proj']],
])('%s: file and configuration are byte for byte what transformers saves', async (name, flags) => {
  using folder = scratch();
  const output = join(folder.path, 'out');
  const { result } = await quantize(['--output', output, ...flags]);
  await expectSameTensors(await weightsOf(output), await weightsOf(join(theirs, name)));
  expect(readFileSync(join(output, 'model.safetensors'))).toEqual(
    readFileSync(join(theirs, name, 'model.safetensors')),
  );
  // It writes keys in order, and so do we: but for the place of the new one the files are the same.
  const config = (path: string): unknown => JSON.parse(readFileSync(join(path, 'config.json'), 'utf8'));
  expect(config(output)).toEqual(config(join(theirs, name)));
  expect(readFileSync(join(output, 'config.json'), 'utf8')).toContain('"llm_int8_threshold": 6.0,');
  expect(readFileSync(join(output, 'config.json'), 'utf8')).toContain('"rope_theta": 10000.0');
  for (const copied of ['tokenizer.json', 'tokenizer_config.json', 'generation_config.json'])
    expect(readFileSync(join(output, copied))).toEqual(readFileSync(join(model, copied)));
  expect(readdirSync(output).sort()).toEqual([
    'config.json',
    'generation_config.json',
    'model.safetensors',
    'tokenizer.json',
    'tokenizer_config.json',
  ]);

  const size = (tensors: SafetensorsFile['tensors']): number =>
    [...tensors.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
  expect(result).toMatchObject({
    model: output,
    type: flags[1],
    block_size: name === 'int8' ? null : 64,
    double_quantization: name === 'nf4Double',
    files: 1,
  });
  expect(result.quantized.tensors).toBe(name === 'nf4Skip' ? 12 : 14);
  expect(result.kept).toBe((await weightsOf(model)).tensors.size - result.quantized.tensors);
  expect(result.bytes_before).toBe(size((await weightsOf(model)).tensors));
  expect(result.bytes_after).toBe(size((await weightsOf(output)).tensors));
  expect(result.quantized.bytes_before - result.quantized.bytes_after).toBe(result.bytes_before - result.bytes_after);
  const { mean_absolute, max_absolute, root_mean_square, mean_relative } = result.error;
  expect(
    0 < mean_absolute && mean_absolute < root_mean_square && root_mean_square < max_absolute && mean_relative < 0.5,
  ).toBe(true);
  expect(mean_absolute).toBeLessThan(name === 'int8' ? 0.01 : 0.1);
});

test('blocks of another size, and 16-bit weights', async () => {
  using folder = scratch();
  const output = join(folder.path, 'out');
  const { result } = await quantize(
    ['--output', output, '--type', 'nf4', '--block-size', '32'],
    join(golden, 'tied-bf16'),
  );
  expect(result.block_size).toBe(32);
  const file = await weightsOf(output);
  const state = JSON.parse(
    new TextDecoder().decode(await file.read('model.layers.1.mlp.down_proj.weight.quant_state.bitsandbytes__nf4')),
  ) as unknown;
  expect(state).toEqual({ quant_type: 'nf4', blocksize: 32, dtype: 'bfloat16', shape: [24, 40] });
  expect(file.tensors.get('model.embed_tokens.weight')?.dtype).toBe('BF16');
  expect(readJson<{ quantization_config: object }>(join(output, 'config.json')).quantization_config).toMatchObject({
    bnb_4bit_compute_dtype: 'bfloat16',
    llm_int8_skip_modules: null,
  });
});

/** The golden model in two files. */
async function sharded(to: string): Promise<string> {
  copyOf('untied', to);
  const file = await weightsOf(to);
  const names = [...file.tensors.keys()];
  const halves = [names.slice(0, 9), names.slice(9)];
  const map: Record<string, string> = {};
  for (const [at, half] of halves.entries()) {
    const entries = await Promise.all(
      half.map(async (name) => ({
        name,
        dtype: file.tensors.get(name)?.dtype ?? 'F32',
        shape: file.tensors.get(name)?.shape ?? [],
        data: new Uint8Array(await file.read(name)),
      })),
    );
    const fileName = `model-0000${at + 1}-of-00002.safetensors`;
    writeFileSync(join(to, fileName), serializeSafetensors(entries, { format: 'pt' }));
    for (const name of half) map[name] = fileName;
  }
  writeFileSync(join(to, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map: map }));
  rmSync(join(to, 'model.safetensors'));
  return to;
}

test('shards stay within the size of the source’s, with an index', async () => {
  using folder = scratch();
  const from = await sharded(join(folder.path, 'model'));
  writeFileSync(join(from, 'LICENSE'), 'free');
  mkdirSync(join(from, 'onnx'));
  const output = join(folder.path, 'out');
  // int8 leaves more than one shard's bytes.
  const { result } = await quantize(['--output', output, '--type', 'int8'], from);
  expect(result.files).toBeGreaterThan(0);
  const weights = readdirSync(output).filter((name) => name.endsWith('.safetensors'));
  expect(weights).toHaveLength(result.files);
  await expectSameTensors(await weightsOf(output), await weightsOf(join(theirs, 'int8')));
  expect(readdirSync(output)).toContain('LICENSE');
  expect(readdirSync(output).includes('model.safetensors.index.json')).toBe(result.files > 1);
  expect(readdirSync(output)).not.toContain('onnx');
});

describe('refused, with nothing left behind', () => {
  const attempt = async (flags: readonly string[], words: RegExp, from = model): Promise<void> => {
    using folder = scratch();
    const outcome = await runCli(['quantize', '--model', from, '--output', join(folder.path, 'a/out'), ...flags]);
    expect(outcome.stderr).toMatch(words);
    expect(outcome.stderr).not.toMatch(/^\s+at /m);
    expect(outcome).toMatchObject({ code: 2, stdout: '' });
    expect(readdirSync(folder.path)).toEqual([]);
  };

  test.each([
    [['--type', 'gptq'], /--type: expected nf4, fp4, int8, got gptq/],
    [[], /required option '--type <type>' not specified/],
    [['--type', 'nf4', '--block-size', '48'], /block size: expected one of 32, 64/],
    [['--type', 'nf4', '--block-size', '1.5'], /--block-size: expected a whole number/],
    [['--type', 'int8', '--block-size', '64'], /int8.*block size/],
    [['--type', 'int8', '--double-quantization'], /int8.*double quantization/],
    [['--type', 'nf4', '--skip-modules', ','], /--skip-modules/],
    [['--type', 'nf4', '--skip-modules', '('], /regular expression/],
    [['--type', 'nf4', '--skip-modules', 'model'], /expected linear layers to quantize, got none/],
  ])('%j', (flags, words) => attempt(flags, words));

  test('a model that is quantized already', () =>
    attempt(['--type', 'nf4'], /config\.json: expected a model that is not quantized/, join(theirs, 'int8')));

  test('weights that are damaged, when others have been written', async () => {
    using folder = scratch();
    const from = copyOf('untied', join(folder.path, 'model'));
    const bytes = readFileSync(join(from, 'model.safetensors'));
    const last = (await weightsOf(from)).tensors.get('model.layers.1.self_attn.v_proj.weight');
    bytes.writeUInt32LE(0x7fc00000, (last?.byteOffset ?? NaN) + 40);
    writeFileSync(join(from, 'model.safetensors'), bytes);
    await attempt(
      ['--type', 'nf4'],
      /v_proj.weight in .*: expected finite numbers, got NaN or infinity at element 10/,
      from,
    );
    writeFileSync(join(from, 'model.safetensors'), bytes.subarray(0, bytes.length - 100));
    await attempt(['--type', 'nf4'], /truncated|expected a file of at least/, from);
  });

  test('weights of another model', async () => {
    using folder = scratch();
    const from = copyOf('untied', join(folder.path, 'model'));
    const config = readJson<object>(join(from, 'config.json'));
    writeFileSync(join(from, 'config.json'), JSON.stringify({ ...config, intermediate_size: 48 }));
    await attempt(['--type', 'nf4'], /expected F32, F16 or BF16 \[24, 48\], got F32 \[24, 40\]/, from);
    writeFileSync(join(from, 'config.json'), JSON.stringify({ ...config, num_hidden_layers: 3 }));
    await attempt(['--type', 'nf4'], /model\.layers\.2\..*config\.json calls for/, from);
  });

  test('a folder that holds a model, or is the source', async () => {
    using folder = scratch();
    const taken = copyOf('tied', join(folder.path, 'taken'));
    const before = readdirSync(taken);
    const outcome = await runCli(['quantize', '--model', model, '--output', taken, '--type', 'nf4']);
    expect(outcome).toMatchObject({ code: 2 });
    expect(outcome.stderr).toMatch(/expected one that holds no model/);
    expect((await runCli(['quantize', '--model', taken, '--output', taken, '--type', 'nf4'])).code).toBe(2);
    expect(readdirSync(taken)).toEqual(before);
  });
});

test('an interrupted run leaves nothing', async () => {
  using folder = scratch();
  const { quantizeFolder } = await import('../jobs/quantize.js');
  const controller = new AbortController();
  controller.abort();
  await expect(
    quantizeFolder({ model, output: join(folder.path, 'out'), type: 'nf4', signal: controller.signal }),
  ).rejects.toBe(controller.signal.reason);
  expect(readdirSync(folder.path)).toEqual([]);
});

test('Ctrl-C is told, and leaves nothing', async () => {
  using folder = scratch();
  const said: string[] = [];
  const io = {
    stdout: (text: string) => void said.push(text),
    stderr: (text: string) => void said.push(text),
    isTTY: false,
    onInterrupt: (interrupt: () => void) => (interrupt(), () => undefined),
  };
  let interrupted = false;
  const flags = { model, output: join(folder.path, 'out'), type: 'nf4', json: true } as const;
  await quantizeCommand({ flags, speaker: new Speaker(io, true), onInterrupted: () => (interrupted = true) });
  expect([interrupted, said.join('')]).toEqual([true, expect.stringContaining('interrupted: nothing was written')]);
  expect(readdirSync(folder.path)).toEqual([]);
});

test('people are told in a sentence', async () => {
  using folder = scratch();
  const outcome = await runCli(['quantize', '--model', model, '--output', join(folder.path, 'out'), '--type', 'nf4']);
  expect(outcome.code).toBe(0);
  expect(outcome.stdout).toMatch(/^14 matrices in nf4: .* became .* mean error of 0\.\d+ \(at most .*\)\n/);
  expect(outcome.stdout).toMatch(/\n\d+ tensors kept; .* the model lies in .*out\n$/);
});
