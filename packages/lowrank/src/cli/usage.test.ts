import { methodNames } from '@lowrank/methods';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { golden, runCli, scratch } from '../testing.js';

const model = join(golden, 'tied');
const data = join(golden, 'train/rows.jsonl');

/**
 * Every kind of bad input is told in one sentence that names the thing, with exit code 2 and no stack trace, and leaves
 * no file.
 */
async function expectComplaint(argv: readonly string[], words: readonly (string | RegExp)[]): Promise<void> {
  const { code, stdout, stderr } = await runCli(argv);
  expect(stderr).not.toMatch(/^\s+at /m);
  for (const word of words) expect(stderr).toMatch(word);
  expect(code).toBe(2);
  const withJson = await runCli([...argv, '--json']);
  expect(withJson.code).toBe(2);
  expect(withJson.json<object>().at(-1)).toEqual({
    error: { code: expect.stringMatching(/^[a-z]+\.\w/) as string, message: expect.any(String) as string },
  });
  expect(stdout).toBe('');
}

test('an error ends with what to do, and with its place in the index of errors', async () => {
  const { stderr } = await runCli([...train, '--output', 'unused', '--r', 'many']);
  expect(stderr).toMatch(/got many\. Give a number within the bounds that the message names\.\n/);
  expect(stderr).toMatch(/^https:.*\/errors#cli-number$/m);
});

const train = ['train', '--model', model, '--data', data, '--device', 'cpu'];

test.each([
  [['--r', '0'], ['--r: expected a whole number of at least 1, got 0']],
  [['--r', '2.5'], ['--r: expected a whole number']],
  [['--steps', 'ten'], ['--steps: expected a whole number of at least 1, got ten']],
  [['--steps', '0'], ['--steps']],
  [['--batch-size', '-8'], ['--batch-size']],
  [['--gradient-accumulation', '0'], ['--gradient-accumulation']],
  [['--learning-rate', 'NaN'], ['--learning-rate: expected a number of at least 0, got NaN']],
  [['--learning-rate', '-1'], ['--learning-rate']],
  [['--schedule', 'cubic'], [/--schedule: expected constant, linear, cosine, .*, got cubic/]],
  [['--warmup', '1.5'], ['--warmup']],
  [['--dropout', '1'], ['--dropout: expected a number of at least 0 and below 1, got 1']],
  [['--alpha', '0'], ['--alpha: expected a number above 0, got 0']],
  [['--clip', '-1'], ['--clip']],
  [['--max-length', '1'], ['--max-length']],
  [
    ['--validation', '2.5'],
    ['--validation: expected a number above 0 and below 1, or a whole number of at least 1, got 2.5'],
  ],
  [
    ['--spike-factor', '4'],
    ['--spike-factor', '--on-spike', 'rollback or stop'],
  ],
  [['--seed', 'x'], ['--seed']],
  [['--method', 'qlora'], [`--method: expected ${methodNames.join(', ')}, got qlora`]],
  [['--device', 'tpu'], ['--device: expected auto, webgpu, cpu, got tpu']],
  [['--target-modules', ','], ['--target-modules']],
  [['--rank', '8'], ["unknown option '--rank'"]],
  [['--steps'], ["option '--steps <n>' argument missing"]],
  [
    ['extra', 'more'],
    ['too many arguments', 'but got 2. `lowrank --help`'],
  ],
  [['absent.yaml'], ['absent.yaml: expected a file of settings that can be read']],
  [['--method', 'full', '--r', '8'], ['--r with --method full']],
  [['--method', 'full', '--init-adapter', model], ['--init-adapter with --method full']],
])('train %j', async (flags, words) => {
  using folder = scratch();
  await expectComplaint([...train, '--output', join(folder.path, 'out'), ...flags], words);
  expect(readdirSync(folder.path)).toEqual([]);
});

test.each([
  ['eval', '--data', data],
  ['generate', '--prompt', 'a'],
  ['profile', '--r', '2'],
])('%s in mixed precision wants a device that has it', async (command, ...flags) => {
  await expectComplaint(
    [command, '--model', model, '--device', 'cpu', '--precision', 'mixed', ...flags],
    [/--precision mixed: expected a WebGPU device with 16-bit floats \(shader-f16\), got cpu, .*Leave --precision out/],
  );
});

test('a command that is missing, unknown or lacks a flag', async () => {
  await expectComplaint(['trian'], ["unknown command 'trian'", 'Did you mean train']);
  await expectComplaint(['train', '--model', model], ["required option '--data <file>' not specified"]);
  const bare = await runCli([]);
  expect(bare).toMatchObject({ code: 2, stdout: '' });
  expect(bare.stderr).toContain('Usage: lowrank');
});

test('help and version go to stdout', async () => {
  const help = await runCli(['train', '--help']);
  expect(help).toMatchObject({ code: 0, stderr: '' });
  for (const flag of [
    '--init-adapter',
    '--no-packing',
    '--no-shuffle',
    '--gradient-accumulation',
    'Example',
    'exit code 130',
  ])
    expect(help.stdout).toContain(flag);
  expect((await runCli(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+/);
});

test('folders that are not there, and an output that cannot be written', async () => {
  using folder = scratch();
  const out = join(folder.path, 'out');
  await expectComplaint(
    ['train', '--model', '/nowhere', '--data', data, '--output', out, '--device', 'cpu'],
    ['model folder /nowhere: expected a folder, got nothing at that path'],
  );
  await expectComplaint(['eval', '--model', data, '--data', data, '--device', 'cpu'], ['got a file']);
  await expectComplaint(
    ['eval', '--model', model, '--adapter', '/nowhere', '--data', data, '--device', 'cpu'],
    ['adapter folder /nowhere'],
  );
  await expectComplaint([...train, '--output', out, '--init-adapter', '/nowhere'], ['adapter folder /nowhere']);
  await expectComplaint([...train, '--output', model], ['the folder that is read from']);
  writeFileSync(out, '');
  await expectComplaint(
    [...train, '--output', out],
    [`output folder ${out}: expected a folder that can be made and written into`],
  );
  await expectComplaint([...train, '--output', join(out, 'below')], ['Nothing was done yet']);
  expect(readdirSync(folder.path)).toEqual(['out']);
});

test.each([
  ['nothing', '', /rows/],
  ['no JSON', '{"text": "a"}\n{"text": ', /line 2|2/],
  ['a row without its keys', '{"prompt": "a"}\n', /completion/],
  ['a row of numbers', '{"text": 5}\n', /text/],
])('data: %s', async (_, text, word) => {
  using folder = scratch();
  mkdirSync(folder.path, { recursive: true });
  const file = join(folder.path, 'rows.jsonl');
  writeFileSync(file, text);
  await expectComplaint(
    ['train', '--model', model, '--data', file, '--output', join(folder.path, 'out'), '--device', 'cpu'],
    [file, word],
  );
  expect(readdirSync(folder.path)).toEqual(['rows.jsonl']);
});
