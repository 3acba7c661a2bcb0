import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { golden, readJson, runCli, scratch } from '../testing.js';

interface Place {
  readonly dtype: string;
  readonly data_offsets: readonly [number, number];
}

/** Overwrites the second number of a tensor, within the file. */
function spoil(path: string, name: (name: string) => boolean, value: number): string {
  const file = readFileSync(path);
  const length = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, 8 + length)) as Record<string, Place>;
  const [found, place] = Object.entries(header).find(([key]) => key !== '__metadata__' && name(key)) ?? [];
  if (found === undefined || place === undefined) throw new Error(`no such tensor in ${path}`);
  const at = 8 + length + place.data_offsets[0];
  if (place.dtype === 'F32') file.writeFloatLE(value, at + 4);
  // The same bits begin Infinity and NaN in both types of 16 bits, as far as this test goes.
  else file.writeUInt16LE((place.dtype === 'BF16' ? 0x7f80 : 0x7c00) + (Number.isNaN(value) ? 1 : 0), at + 2);
  writeFileSync(path, file);
  return found;
}

const data = join(golden, 'train/rows.jsonl');
const cpu = ['--device', 'cpu'];
const split = ['--pre-tokenizer', 'llama-bpe'];

/** The command fails, names what is not finite, and leaves no output. */
async function refuses(argv: readonly string[], name: string, output?: string): Promise<void> {
  const { code, stderr } = await runCli(output === undefined ? argv : [...argv, '--output', output]);
  expect([argv.join(' '), code, stderr]).toEqual([
    argv.join(' '),
    2,
    expect.stringMatching(/NaN|infinit|finite/i) as string,
  ]);
  expect(stderr.replaceAll('base_model.model.', '')).toContain(name);
  if (output !== undefined) expect(existsSync(output)).toBe(false);
}

const models: [string, string, number][] = [
  ['untied', 'q_proj', NaN],
  ['untied', 'embed_tokens', Infinity],
  ['untied', 'model.norm', NaN],
  ['tied-bf16', 'input_layernorm', NaN],
  ['tied-f16', 'down_proj', Infinity],
  ['tied-f16', 'embed_tokens', NaN],
];

test.each(models)('a model (%s) whose %s holds %s is neither used nor written on', async (from, part, value) => {
  using place = scratch();
  const model = join(place.path, 'model');
  cpSync(join(golden, 'untied'), model, { recursive: true });
  cpSync(join(golden, from), model, { recursive: true });
  const adapter = join(golden, 'adapters', from.startsWith('untied') ? 'untied-all' : 'tied-qv');
  const name = spoil(join(model, 'model.safetensors'), (key) => key.includes(part), value);
  const output = join(place.path, 'output');
  const use = ['--model', model];
  await refuses(['eval', ...use, '--data', data, ...cpu], name);
  await refuses(['generate', ...use, '--prompt', 'a', ...cpu], name);
  await refuses(['train', ...use, '--data', data, '--steps', '1', ...cpu], name, output);
  await refuses(['train', ...use, '--data', data, '--steps', '1', '--method', 'full', ...cpu], name, output);
  await refuses(['merge', ...use, '--adapter', adapter, ...cpu], name, output);
  for (const type of ['nf4', 'int8']) await refuses(['quantize', ...use, '--type', type], name, output);
  await refuses(['convert', '--to', 'gguf', ...split, ...use], name, `${output}.gguf`);
  await refuses(['convert', '--to', 'gguf', ...split, '--merge', '--adapter', adapter, ...use], name, `${output}.gguf`);
});

test.each([
  ['lora_A', NaN],
  ['lora_B', Infinity],
])('an adapter whose %s holds %s is neither', async (part, value) => {
  using place = scratch();
  const adapter = join(place.path, 'adapter');
  cpSync(join(golden, 'adapters/tied-qv'), adapter, { recursive: true });
  const name = spoil(join(adapter, 'adapter_model.safetensors'), (key) => key.includes(part), value).replace(
    'base_model.model.',
    '',
  );
  const output = join(place.path, 'output');
  const use = ['--model', join(golden, 'tied'), '--adapter', adapter];
  await refuses(['eval', ...use, '--data', data, ...cpu], name);
  await refuses(['generate', ...use, '--prompt', 'a', ...cpu], name);
  await refuses(['merge', ...use, ...cpu], name, output);
  await refuses(['convert', '--to', 'gguf', ...use], name, `${output}.gguf`);
  await refuses(['combine', '--adapter', `${adapter}=1`], name, output);
  const go = ['train', '--model', join(golden, 'tied'), '--data', data, '--steps', '1', '--init-adapter', adapter];
  await refuses([...go, ...cpu], name, output);
});

test('nor is what finite parts add up to', async () => {
  using place = scratch();
  const adapter = join(golden, 'adapters/tied-qv');
  const output = join(place.path, 'output');
  for (const method of ['cat', 'linear', 'svd', 'ties'])
    await refuses(
      [
        'combine',
        '--adapter',
        `${adapter}=1e90`,
        '--adapter',
        `${adapter}=1e85`,
        '--method',
        method,
        ...(method === 'ties' ? ['--density', '1'] : []),
      ],
      '',
      output,
    );
  const large = join(place.path, 'large');
  cpSync(adapter, large, { recursive: true });
  const config = readJson<object>(join(large, 'adapter_config.json'));
  writeFileSync(join(large, 'adapter_config.json'), JSON.stringify({ ...config, lora_alpha: 1e60 }));
  await refuses(['merge', '--model', join(golden, 'tied'), '--adapter', large, ...cpu], 'proj', output);
  const merge = ['convert', '--to', 'gguf', ...split, '--merge', '--model', join(golden, 'tied'), '--adapter', large];
  await refuses(merge, 'proj', `${output}.gguf`);
});
