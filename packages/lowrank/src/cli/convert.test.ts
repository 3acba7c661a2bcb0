import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gguf } from '@huggingface/gguf';
import { expect, test } from 'vitest';
import type { ConvertResult } from '../jobs/convert.js';
import { golden, runCli, scratch } from '../testing.js';

const model = join(golden, 'tied');
const adapter = join(golden, 'adapters/tied-qv');

test('convert: an adapter, a model, and a model with the adapter merged in', async () => {
  using folder = scratch();
  const output = join(folder.path, 'new/file.gguf');
  const convert = async (...flags: readonly string[]): Promise<{ result: ConvertResult | undefined; bytes: Buffer; read: Awaited<ReturnType<typeof gguf>> }> => {
    const outcome = await runCli(['convert', '--to', 'gguf', '--model', model, '--output', output, '--json', ...flags]);
    expect(outcome.stderr).toBe('');
    return { result: outcome.json<ConvertResult>()[0], bytes: readFileSync(output), read: await gguf(output, { allowLocalFile: true }) };
  };
  const alone = await convert('--adapter', adapter);
  expect(alone.result).toEqual({ output, kind: 'adapter', tensors: 8, bytes: alone.bytes.length });
  expect(alone.read.metadata).toMatchObject({ 'general.type': 'adapter', 'general.name': 'tied-qv', 'adapter.lora.alpha': 8 });
  const plain = await convert('--pre-tokenizer', 'llama-bpe');
  expect(plain.read.metadata).toMatchObject({ 'general.type': 'model', 'general.name': 'tied', 'general.file_type': 1, 'tokenizer.ggml.pre': 'llama-bpe' });
  const merged = await convert('--pre-tokenizer', 'llama-bpe', '--adapter', adapter, '--merge');
  expect(merged.result).toEqual({ ...plain.result });
  expect(merged.bytes.equals(plain.bytes)).toBe(false);
  const wide = await convert('--pre-tokenizer', 'llama-bpe', '--dtype', 'f32');
  expect(wide.bytes.length).toBeGreaterThan(1.5 * plain.bytes.length);
  expect(readdirSync(join(folder.path, 'new'))).toEqual(['file.gguf']);
});

test.each([
  [['--merge'], 'cli.conflict', '--merge: expected --adapter beside it'],
  [['--adapter', adapter, '--dtype', 'f16'], 'cli.conflict', '--dtype with an adapter'],
  [[], 'gguf.preTokenizer', '--pre-tokenizer llama-bpe'],
  [['--pre-tokenizer', 'llama-bpe', '--output', golden], 'cli.output', 'expected a file, got a folder'],
  [['--adapter', '/nowhere'], 'models.noFolder', 'adapter folder /nowhere'],
  [['--to', 'onnx'], 'cli.choice', '--to: expected gguf'],
])('convert %j is refused', async (flags, code, words) => {
  using folder = scratch();
  const outcome = await runCli(['convert', '--to', 'gguf', '--model', model, '--output', join(folder.path, 'out.gguf'), '--json', ...flags]);
  expect(outcome.code).toBe(2);
  expect(outcome.stderr).toContain(words);
  expect(outcome.json<{ error: { code: string } }>().at(-1)?.error.code).toBe(code);
  expect(readdirSync(folder.path)).toEqual([]);
});
