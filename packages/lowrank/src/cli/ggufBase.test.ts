import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readJson, readLines, runCli } from '../testing.js';
import type { Outcome } from '../testing.js';

/** A tiny Llama whose matrices have several types. */
const model = fileURLToPath(new URL('../../../../parity/golden/ggufBases/llama.gguf', import.meta.url));

let place: string;
let trained: Outcome | undefined;
const at = (name: string): string => join(place, name);
const [rows, run, merged] = ['rows.jsonl', 'run', 'merged'];
beforeAll(async () => {
  place = mkdtempSync(join(tmpdir(), 'lowrank-gguf-'));
  writeFileSync(
    at(rows),
    ['the cat sat on the mat', 'a cat', 'in the cat'].map((text) => JSON.stringify({ text })).join('\n'),
  );
  const flags = [
    '--device',
    'cpu',
    '--steps',
    '3',
    '--batch-size',
    '2',
    '--max-length',
    '32',
    '--learning-rate',
    '1e-2',
  ];
  trained = await runCli(['train', '--model', model, '--data', at(rows), '--output', at(run), ...flags]);
}, 60_000);
afterAll(() => rmSync(place, { recursive: true }));

const evaluated = async (...flags: string[]): Promise<number> => {
  const { code, json } = await runCli(['eval', '--data', at(rows), '--device', 'cpu', '--json', ...flags]);
  expect(code).toBe(0);
  return json<{ loss: number }>().at(-1)?.loss ?? NaN;
};

test("train: an adapter of PEFT's form that names the file", () => {
  expect(trained).toMatchObject({ code: 0 });
  expect(`${trained?.stderr}${trained?.stdout}`).toMatch(/embed_tokens.weight \(Q8_0\) becomes f32 in memory/);
  expect(readJson(at('run/adapter_config.json'))).toMatchObject({ base_model_name_or_path: model });
  const losses = readLines<{ loss?: number }>(at('run/metrics.jsonl')).flatMap(({ loss }) => loss ?? []);
  expect(losses.length).toBeGreaterThan(0);
});

test('eval, merge: the merged folder, in f32, has the loss of file and adapter', async () => {
  const before = await evaluated('--model', model);
  const after = await evaluated('--model', model, '--adapter', at(run));
  expect(after).toBeLessThan(before - 0.01);
  const { code } = await runCli(['merge', '--model', model, '--adapter', at(run), '--output', at(merged)]);
  expect(code).toBe(0);
  expect(readJson(at('merged/config.json'))).toMatchObject({ model_type: 'llama', hidden_size: 32 });
  expect(await evaluated('--model', at(merged))).toBeCloseTo(after, 4);
});

test('generate and chat read tokenizer, template and ends from the file', async () => {
  const flags = ['--model', model, '--adapter', at(run), '--device', 'cpu', '--max-new-tokens', '4'];
  const written = await runCli(['generate', '--prompt', 'the cat', ...flags, '--json']);
  expect(written).toMatchObject({ code: 0 });
  const said = await runCli(['chat', ...flags], { input: ['hi'] });
  expect(said).toMatchObject({ code: 0 });
});

test('convert: the adapter, and file and adapter together as a new file that is a base again', async () => {
  const flags = ['--model', model, '--adapter', at(run)];
  expect(await runCli(['convert', '--to', 'gguf', ...flags, '--output', at('adapter.gguf')])).toMatchObject({
    code: 0,
  });
  const whole = ['--merge', '--dtype', 'f32', '--pre-tokenizer', 'llama-bpe', '--output', at('whole.gguf')];
  expect(await runCli(['convert', '--to', 'gguf', ...flags, ...whole])).toMatchObject({ code: 0 });
  expect(await evaluated('--model', at('whole.gguf'))).toBeCloseTo(await evaluated(...flags), 4);
  const refused = await runCli(['generate', '--model', at('adapter.gguf'), '--prompt', 'x', '--device', 'cpu']);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain('expected a model, got an adapter');
});

test('plan counts its codes; quantize and full training read the numbers they stand for', async () => {
  const planned = await runCli(['plan', '--model', model, '--device', 'cpu', '--json']);
  const [{ bytes } = { bytes: { quantized: 0, weights: 0 } }] = planned.json<{
    bytes: { quantized: number; weights: number };
  }>();
  // The table's 283 rows of 32 in f32, and norms.
  expect(bytes.quantized).toBeGreaterThan(10_000);
  expect(bytes.weights).toBeLessThan(60_000);
  const quantized = await runCli(['quantize', '--model', model, '--type', 'nf4', '--output', at('nf4')]);
  expect(quantized).toMatchObject({ code: 0 });
  const flags = ['--method', 'full', '--device', 'cpu', '--steps', '1', '--batch-size', '2'];
  const full = await runCli(['train', '--model', model, '--data', at(rows), '--output', at('full'), ...flags]);
  expect(full).toMatchObject({ code: 0 });
  expect(await evaluated('--model', at('full'))).toBeGreaterThan(0);
});
