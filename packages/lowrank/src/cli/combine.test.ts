import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { CombineResult } from '../jobs/combine.js';
import { expectClose, golden, readJson, runCli, scratch } from '../testing.js';

const adapters = join(golden, 'adapters');
const [qv, all, rslora] = ['tied-qv', 'tied-all', 'tied-rslora'].map((name) => join(adapters, name)) as [
  string,
  string,
  string,
];

/** The loss of the model with an adapter folder. */
async function lossWith(...flags: readonly string[]): Promise<number> {
  const outcome = await runCli([
    'eval',
    '--model',
    join(golden, 'tied'),
    '--data',
    join(golden, 'train/eval.jsonl'),
    '--device',
    'cpu',
    '--json',
    ...flags,
  ]);
  expect(outcome.stderr).not.toContain('lowrank:');
  return outcome.json<{ loss: number }>().at(-1)?.loss ?? NaN;
}

test('combine: adapters of unequal ranks, one with rsLoRA, and the model answers as with their sum', async () => {
  using folder = scratch();
  const [sum, nothing, one] = ['sum', 'nothing', 'one'].map((name) => join(folder.path, name)) as [
    string,
    string,
    string,
  ];
  const outcome = await runCli([
    'combine',
    '--adapter',
    `${all}=0.75`,
    '--adapter',
    `${rslora}=-0.5`,
    '--output',
    sum,
    '--json',
  ]);
  expect(outcome.stderr).toBe('');
  const [result] = outcome.json<CombineResult>();
  expect(result).toMatchObject({
    adapter: sum,
    method: 'cat',
    from: [
      { adapter: all, weight: 0.75 },
      { adapter: rslora, weight: -0.5 },
    ],
    layers: 14,
    bytes: readFileSync(join(sum, 'adapter_model.safetensors')).length,
  });
  expect(readdirSync(sum).sort()).toEqual(['README.md', 'adapter_config.json', 'adapter_model.safetensors']);
  expect(readJson(join(sum, 'adapter_config.json'))).toMatchObject({
    base_model_name_or_path: 'tied',
    use_rslora: false,
    r: result?.r,
  });
  // Taken away again, and half of the other given back, what is left is nothing: the model itself.
  expect(
    (
      await runCli([
        'combine',
        '--adapter',
        `${sum}=1`,
        '--adapter',
        `${all}=-0.75`,
        '--adapter',
        `${rslora}=5e-1`,
        '--method',
        'svd',
        '--rank',
        '9',
        '--output',
        nothing,
      ])
    ).code,
  ).toBe(0);
  expectClose([await lossWith('--adapter', nothing)], [await lossWith()], 1e-5);
  // Of the sum the model answers differently; of one adapter alone as with it.
  const people = await runCli(['combine', '--adapter', `${qv}=1`, '--method', 'linear', '--output', one]);
  expect(people.stdout).toMatch(/^combined 1 adapter by linear: 4 layers, r=\d+, [\d,]+ parameters; saved in /);
  expectClose([await lossWith('--adapter', one)], [await lossWith('--adapter', qv)], 1e-5);
  expect(Math.abs((await lossWith('--adapter', sum)) - (await lossWith()))).toBeGreaterThan(1e-3);
});

test.each([
  ['ties', ['--density', '0.5', '--majority-sign', 'frequency']],
  ['dare_linear', ['--density', '0.5', '--seed', '3']],
  ['magnitude_prune_svd', ['--density', '0.5', '--rank', '2']],
])('combine --method %s', async (method, flags) => {
  using folder = scratch();
  const output = join(folder.path, 'out');
  const outcome = await runCli([
    'combine',
    '--adapter',
    `${qv}=1`,
    '--adapter',
    `${qv}=2`,
    '--method',
    method,
    ...flags,
    '--output',
    output,
    '--json',
  ]);
  expect(outcome.json<CombineResult>()[0]).toMatchObject({ method, layers: 4 });
  expect(await lossWith('--adapter', output)).toBeGreaterThan(0);
});

test('a folder with = in its name; another base by name; --overwrite replaces one that was there', async () => {
  using folder = scratch();
  const odd = join(folder.path, 'r=2');
  cpSync(qv, odd, { recursive: true });
  const config = readJson<object>(join(odd, 'adapter_config.json'));
  writeFileSync(
    join(odd, 'adapter_config.json'),
    JSON.stringify({ ...config, base_model_name_or_path: 'elsewhere/tied' }),
  );
  const output = join(folder.path, 'out');
  const argv = ['combine', '--adapter', `${odd}=1`, '--adapter', `${qv}=1`, '--output', output];
  expect((await runCli(argv)).stderr).toContain('elsewhere/tied and tied');
  expect(existsSync(output)).toBe(false);
  const named = [...argv, '--base-model', 'owner/tied'];
  expect((await runCli(named)).code).toBe(0);
  expect((await runCli(named)).stderr).toContain('give --overwrite to replace what is there');
  expect((await runCli([...named, '--overwrite'])).code).toBe(0);
  expect(readJson(join(output, 'adapter_config.json'))).toMatchObject({ base_model_name_or_path: 'owner/tied' });
  expect(readdirSync(output).length).toBe(3);
});

test.each([
  [['--adapter', qv], 'cli.weight', `--adapter ${qv}=1`],
  [['--adapter', `${qv}=much`], 'cli.number', 'the weight in --adapter: expected a number'],
  [['--adapter', '/nowhere=1'], 'models.noFolder', '/nowhere'],
  [['--adapter', `${qv}=1`, '--method', 'average'], 'cli.choice', 'magnitude_prune_svd'],
  [['--adapter', `${qv}=1`, '--density', '1.5'], 'cli.number', '--density'],
  [['--adapter', `${qv}=1`, '--method', 'ties'], 'lora.combine', 'the density of ties'],
  [['--adapter', `${qv}=1`, '--rank', '2'], 'lora.combine', 'sum of the ranks'],
  [['--adapter', `${qv}=1`, '--adapter', `${all}=1`, '--method', 'linear'], 'lora.combineRank', 'Use cat, svd.'],
  [['--adapter', `${qv}=1`, '--adapter', `${join(adapters, 'untied-all')}=1`], 'lora.combineBase', 'tied and untied'],
  [['--adapter', `${qv}=1`, '--output', qv], 'output.isInput', 'the folder that is read from'],
])('combine %j is refused, and nothing is written', async (flags, code, words) => {
  using folder = scratch();
  const outcome = await runCli(['combine', '--output', join(folder.path, 'out'), '--json', ...flags]);
  expect(outcome.code).toBe(2);
  expect(outcome.stderr).toContain(words);
  expect(outcome.json<{ error: { code: string } }>().at(-1)?.error.code).toBe(code);
  expect(readdirSync(folder.path)).toEqual([]);
});
