import { cpSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { golden, runCli, scratch } from '../testing.js';

/**
 * A saving into the folder of what it holds now, decided and not yet moved: in their places lie files that nobody can
 * read, one of which the saving takes away.
 */
function decide(folder: string, first: string, gone: string): void {
  const committed = `${folder}.new`;
  mkdirSync(committed);
  const files = readdirSync(folder);
  for (const name of files) renameSync(join(folder, name), join(committed, name));
  for (const name of [...files, gone]) writeFileSync(join(folder, name), 'of the older saving');
  const order = { first, files: files.filter((name) => name !== first), gone: [gone] };
  writeFileSync(join(committed, '.order.json'), JSON.stringify(order));
  renameSync(committed, join(folder, '.lowrank-committed'));
}

const data = join(golden, 'train/rows.jsonl');

/** The loss of a folder, and of the same one with a decided saving; reading changes nothing. */
async function losses(argv: readonly string[], folder: string, first: string, gone: string): Promise<number[]> {
  const evaluate = async (): Promise<number> => {
    const { code, stderr, json } = await runCli(['eval', ...argv, '--data', data, '--device', 'cpu', '--json']);
    expect([code, stderr]).toEqual([0, expect.anything()]);
    return json<{ loss: number }>().at(-1)?.loss ?? NaN;
  };
  const before = await evaluate();
  decide(folder, first, gone);
  const names = readdirSync(folder, { recursive: true });
  const after = await evaluate();
  expect(readdirSync(folder, { recursive: true })).toEqual(names);
  return [before, after];
}

test('a model, with its tokenizer, is read from a saving that was decided; so are quantized ones', async () => {
  using place = scratch();
  const model = join(place.path, 'model');
  cpSync(join(golden, 'untied'), model, { recursive: true });
  const quantized = join(place.path, 'quantized');
  await runCli(['quantize', '--model', model, '--output', quantized, '--type', 'nf4']);
  for (const folder of [model, quantized]) {
    const [before, after] = await losses(['--model', folder], folder, 'config.json', 'chat_template.jinja');
    expect(after).toBe(before);
  }
});

test('so is an adapter, and what is merged, quantized and converted from there', async () => {
  using place = scratch();
  const [model, adapter] = [join(place.path, 'model'), join(place.path, 'adapter')];
  cpSync(join(golden, 'tied'), model, { recursive: true });
  cpSync(join(golden, 'train/lora/init'), adapter, { recursive: true });
  const pair = ['--model', model, '--adapter', adapter];
  const [before, after] = await losses(pair, adapter, 'adapter_config.json', 'adapters.safetensors');
  expect(after).toBe(before);
  decide(model, 'config.json', 'model.safetensors.index.json');
  const output = (name: string): string => join(place.path, name);
  for (const command of [
    ['merge', ...pair, '--output', output('merged'), '--device', 'cpu'],
    ['quantize', '--model', model, '--output', output('quantized'), '--type', 'nf4'],
    ['convert', '--to', 'gguf', ...pair, '--output', output('adapter.gguf')],
    ['combine', '--adapter', `${adapter}=1`, '--output', output('combined')],
    ['inspect', '--adapter', adapter],
  ]) {
    const { code, stderr } = await runCli(command);
    expect([command[0], code, stderr]).toEqual([command[0], 0, expect.anything()]);
  }
  const [merged] = await losses(['--model', output('merged')], output('merged'), 'config.json', 'vocab.json');
  expect(merged).toBeCloseTo(before ?? NaN, 6);
});
