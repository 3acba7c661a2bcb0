import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import type { FineTuneResult } from '../jobs/fineTune.js';
import type { Outcome, RunOptions } from '../testing.js';
import { golden, runCli, scratch } from '../testing.js';

const rows = join(golden, 'train/rows.jsonl');

function train(output: string, flags: readonly string[] = [], options?: RunOptions): Promise<Outcome> {
  const data = flags.includes('--data') ? [] : ['--data', rows];
  const argv = ['train', '--model', join(golden, 'tied'), ...data, '--r', '2', '--batch-size', '2', '--steps', '6'];
  return runCli([...argv, '--save-every', '2', '--device', 'cpu', '--json', '--output', output, ...flags], options);
}

const resume = (output: string): Promise<Outcome> =>
  runCli(['train', '--resume', '--output', output, '--device', 'cpu', '--json']);

const resultOf = (outcome: Outcome): FineTuneResult | undefined => outcome.json<FineTuneResult>().at(-1);
/** What the last line says. */
const errorOf = (outcome: Outcome): { readonly code?: string; readonly message?: string } =>
  outcome.json<{ error?: { code: string; message: string } }>().at(-1)?.error ?? {};
const weightsOf = (folder: string): Buffer => readFileSync(join(folder, 'adapter_model.safetensors'));
const checkpointsOf = (output: string): string[] =>
  readdirSync(output).filter((name) => existsSync(join(output, name, 'trainer_state.json')));

type Call = (path: string, ...rest: unknown[]) => Promise<unknown>;
const disk = createRequire(import.meta.url)('node:fs/promises') as Record<string, Call>;
const asked: string[] = [];

const making = ['mkdir', 'open', 'writeFile', 'appendFile'];

/** From now on Node's file system refuses these calls for files of which this is true. */
function refuse(
  code: 'ENOSPC' | 'EACCES' | 'EBUSY',
  isRefused: (path: string) => boolean,
  calls: readonly string[] = making,
): void {
  for (const name of calls) {
    const original = disk[name];
    vi.spyOn(disk, name).mockImplementation(async (path: string, ...rest: unknown[]) => {
      const reads = name === 'open' && (rest[0] ?? 'r') === 'r';
      if (!reads && typeof path === 'string' && isRefused(path)) {
        asked.push(path);
        throw Object.assign(new Error(`${code}: refused, ${name} '${path}'`), { code, syscall: name, path });
      }
      return original?.(path, ...rest);
    });
  }
  syncBuiltinESMExports();
}

function mend(): void {
  vi.restoreAllMocks();
  syncBuiltinESMExports();
  asked.length = 0;
}
afterEach(mend);

test.each([2, 4, 6])('a full disk at checkpoint %d: a warning, the others stay, the run is whole', async (step) => {
  using place = scratch();
  const [whole, output] = [join(place.path, 'whole'), join(place.path, 'run')];
  await train(whole);
  // The last and largest of its files.
  refuse('ENOSPC', (path) => path.includes(`checkpoint-${step}`) && path.includes('optimizer.safetensors'));
  const { code, stderr } = await train(output);
  expect(asked.length).toBeGreaterThan(0);
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining(warning(step)) as string });
  expect(checkpointsOf(output)).toEqual([2, 4, 6].filter((at) => at !== step).map((at) => `checkpoint-${at}`));
  expect(weightsOf(output)).toEqual(weightsOf(whole));
});

const warning = (step: number): string => `the checkpoint of step ${step} cannot be written (`;

test('a disk that is full from a step on: warnings, an error at the end, and with room it goes on', async () => {
  using place = scratch();
  const [whole, output] = [join(place.path, 'whole'), join(place.path, 'run')];
  await train(whole);
  let isFull = false;
  refuse('ENOSPC', (path) => {
    isFull ||= path.includes('checkpoint-4');
    return isFull && path.startsWith(output);
  });
  const full = await train(output);
  expect(full.code).toBe(2);
  expect(errorOf(full).code).toBe('files.notWritable');
  for (const text of [warning(4), warning(6), 'ENOSPC', 'Free some room']) expect(full.stderr).toContain(text);
  expect(checkpointsOf(output)).toEqual(['checkpoint-2']);
  expect(existsSync(join(output, 'adapter_model.safetensors'))).toBe(false);
  mend();
  const rest = await resume(output);
  expect(resultOf(rest)).toMatchObject({ steps: 6, resumed_from: 2 });
  expect(weightsOf(output)).toEqual(weightsOf(whole));
});

test('a full disk at the end alone: the last checkpoint becomes the result', async () => {
  using place = scratch();
  const output = join(place.path, 'run');
  refuse('ENOSPC', (path) => path.includes('adapter_model') && !path.includes('checkpoint-'));
  const full = await train(output);
  expect({ code: full.code, error: errorOf(full).code }).toEqual({ code: 2, error: 'files.notWritten' });
  expect(full.stderr).toContain('ENOSPC');
  expect(checkpointsOf(output)).toEqual(['checkpoint-2', 'checkpoint-4', 'checkpoint-6']);
  mend();
  expect(resultOf(await resume(output))).toMatchObject({ steps: 6, resumed_from: 6 });
  expect(weightsOf(output)).toEqual(weightsOf(join(output, 'checkpoint-6')));
});

test.each([
  ['state', 'trainer_state.json'],
  ['folder', ''],
])('an older checkpoint whose %s cannot be removed costs warnings', async (_, name) => {
  using place = scratch();
  const output = join(place.path, 'run');
  // Somebody reads in it from now on.
  const isSaved = (): boolean => existsSync(join(output, 'checkpoint-4/trainer_state.json'));
  refuse('EBUSY', (path) => isSaved() && path === join(output, 'checkpoint-2', name), ['rm']);
  const { code, stderr } = await train(output, ['--keep-last', '1']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringMatching(/cannot be removed \(EBUSY/) as string });
  expect(checkpointsOf(output)).toEqual([...(name === '' ? [] : ['checkpoint-2']), 'checkpoint-6']);
  expect(existsSync(join(output, 'adapter_model.safetensors'))).toBe(true);
});

test('a folder that may not be written into is refused before the first step', async () => {
  using place = scratch();
  const output = join(place.path, 'run');
  for (const exists of [false, true]) {
    if (exists) mkdirSync(output);
    refuse('EACCES', (path) => path.startsWith(place.path));
    const refused = await train(output);
    expect({ code: refused.code, lines: refused.json().length }).toEqual({ code: 2, lines: 1 });
    const { code, message } = errorOf(refused);
    expect(code).toBe('output.notWritable');
    expect(message).toContain(
      `output folder ${output}: expected a folder that can be made and written into, got EACCES`,
    );
    mend();
    expect(readdirSync(place.path)).toEqual(exists ? ['run'] : []);
  }
});

test.each([
  ['no row', '', 'data.empty', 'at least one row'],
  [
    'no token to learn',
    '{"prompt": "only a prompt", "completion": ""}\n',
    'data.noLabels',
    'rows with at least one token to learn',
  ],
])('data with %s are refused before the first step', async (_, text, code, words) => {
  using place = scratch();
  const [output, data] = [join(place.path, 'run'), join(place.path, 'rows.jsonl')];
  writeFileSync(data, text);
  const refused = await train(output, ['--data', data, '--max-length', '3']);
  expect({ code: refused.code, lines: refused.json().length }).toEqual({ code: 2, lines: 1 });
  expect(errorOf(refused)).toEqual({ code, message: expect.stringContaining(`${data}: expected ${words}`) as string });
  expect(existsSync(output)).toBe(false);
});

test('a resume without its data file says which, and goes on once it is back', async () => {
  using place = scratch();
  const [output, data] = [join(place.path, 'run'), join(place.path, 'rows.jsonl')];
  copyFileSync(rows, data);
  await train(output, ['--data', data], { interruptWhen: (stdout) => stdout.includes('"step":3,') });
  const before = readdirSync(output);
  renameSync(data, `${data}.away`);
  const without = await resume(output);
  expect(without.code).toBe(2);
  expect(without.stderr).toMatch(/rows\.jsonl.*no such file.*Put the file back/);
  expect(readdirSync(output)).toEqual(before);
  renameSync(`${data}.away`, data);
  expect(resultOf(await resume(output))).toMatchObject({ steps: 6 });
});
