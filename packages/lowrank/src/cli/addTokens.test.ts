import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openSafetensors, fileSource } from '@lowrank/safetensors';
import { expect, test } from 'vitest';
import type { EvaluateFolderResult } from '../jobs/evaluate.js';
import { golden, readJson, runCli, scratch } from '../testing.js';

const common = ['--device', 'cpu', '--json'];

/** Rows where the new tokens matter. */
function rowsIn(folder: string): string {
  const path = join(folder, 'rows.jsonl');
  const rows = [{ prompt: 'one <a> two', completion: ' <b>' }, { text: 'three <b><a> four' }];
  writeFileSync(path, rows.map((row) => JSON.stringify(row)).join('\n'));
  return path;
}

async function run(...args: string[]): Promise<Record<string, unknown>> {
  const ran = await runCli([...args, ...common]);
  if (ran.code !== 0) throw new Error(ran.stderr);
  return ran.json<Record<string, unknown>>().pop() ?? {};
}

const lossOf = async (...args: string[]): Promise<number> =>
  ((await run('eval', ...args)) as unknown as EvaluateFolderResult).loss;

const shapesOf = async (path: string): Promise<Record<string, readonly number[]>> =>
  Object.fromEntries([...(await openSafetensors(fileSource(path))).tensors].map(([name, { shape }]) => [name, shape]));

test.each([
  ['tied', ['--trainable-tokens', '<a>,<b>']],
  ['untied', ['--modules-to-save', 'embed_tokens,lm_head']],
] as const)(
  '--add-tokens over %s weights with %j: trained, evaluated, gone on from, written with, merged',
  async (name, flags) => {
    using folder = scratch();
    const model = join(golden, name);
    const data = rowsIn(folder.path);
    const [adapter, further, merged] = ['adapter', 'further', 'merged'].map((each) => join(folder.path, each)) as [
      string,
      string,
      string,
    ];
    const shared = ['--model', model, '--data', data, '--learning-rate', '0.05', '--batch-size', '2'];
    await run('train', ...shared, '--output', adapter, '--add-tokens', '<a>,<b>', '--steps', '8', ...flags);
    const { vocab_size: size } = readJson<{ vocab_size: number }>(join(model, 'config.json'));
    const saved = await shapesOf(join(adapter, 'adapter_model.safetensors'));
    const tables = Object.entries(saved).filter(
      ([key, shape]) => /embed_tokens|lm_head/.test(key) && shape[0] === size + 2,
    );
    expect(tables.length).toBeGreaterThanOrEqual(2);
    const { added_tokens: added } = readJson<{ added_tokens: { content: string; id: number; special: boolean }[] }>(
      join(adapter, 'tokenizer.json'),
    );
    expect(added.slice(-2)).toMatchObject([
      { content: '<a>', id: size, special: false },
      { content: '<b>', id: size + 1, special: false },
    ]);
    const loss = await lossOf('--model', model, '--adapter', adapter, '--data', data);
    expect(loss).toBeLessThan(3);
    await run(
      'train',
      ...shared,
      '--output',
      further,
      '--init-adapter',
      adapter,
      '--steps',
      '2',
      '--learning-rate',
      '1e-9',
    );
    expect(await lossOf('--model', model, '--adapter', further, '--data', data)).toBeCloseTo(loss, 4);
    expect(existsSync(join(further, 'tokenizer.json'))).toBe(true);
    const prompt = ['--prompt', 'one <a> two', '--max-new-tokens', '3'];
    const { text } = await run('generate', '--model', model, '--adapter', adapter, ...prompt);
    await run('merge', '--model', model, '--adapter', adapter, '--output', merged);
    expect(readJson(join(merged, 'config.json'))).toMatchObject({ vocab_size: size + 2 });
    expect(readFileSync(join(merged, 'tokenizer.json'))).toEqual(readFileSync(join(adapter, 'tokenizer.json')));
    expect(await lossOf('--model', merged, '--data', data)).toBeCloseTo(loss, 4);
    expect((await run('generate', '--model', merged, ...prompt))['text']).toBe(text);
  },
);

test('--method full --add-tokens: a model with more tokens; what has no tables is refused', async () => {
  using folder = scratch();
  const [model, output] = [join(golden, 'tied'), join(folder.path, 'model')];
  const data = rowsIn(folder.path);
  const flags = ['--model', model, '--data', data, '--output', output, '--steps', '2', '--add-tokens', '<a>,<b>'];
  await run('train', ...flags, '--method', 'full');
  const { vocab_size: size } = readJson<{ vocab_size: number }>(join(model, 'config.json'));
  expect(readJson(join(output, 'config.json'))).toMatchObject({ vocab_size: size + 2 });
  expect((await shapesOf(join(output, 'model.safetensors')))['model.embed_tokens.weight']?.[0]).toBe(size + 2);
  expect(await lossOf('--model', output, '--data', data)).toBeGreaterThan(0);
  const refused = await runCli(['train', ...flags, '--method', 'bitfit', '--overwrite', ...common]);
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringMatching(/--add-tokens with --method bitfit/) });
  const both = await runCli(['train', ...flags, '--init-adapter', output, '--overwrite', ...common]);
  expect(both).toMatchObject({ code: 2, stderr: expect.stringMatching(/--add-tokens with --init-adapter/) });
});
