import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { golden, runCli } from '../testing.js';
import type { Outcome } from '../testing.js';

interface Result {
  text: string;
  ids: number[];
}

const run = (flags: readonly string[]): Promise<Outcome> =>
  runCli(['generate', '--model', join(golden, 'tied'), '--device', 'cpu', '--max-new-tokens', '12', ...flags]);
const json = async <T = Result>(flags: readonly string[]): Promise<T[]> => (await run([...flags, '--json'])).json<T>();

test('one prompt: {text, ids}; several: a result for each, the same as one by one', async () => {
  const prompts = ['name: ada', '', 'name: bela | town: rome\n'];
  const single: Result[] = [];
  for (const prompt of prompts) single.push(...(await json(['--prompt', prompt])));
  for (const result of single) expect(Object.keys(result)).toEqual(['text', 'ids']);
  const [together] = await json<{ results: (Result & { prompt: string })[] }>(
    prompts.flatMap((prompt) => ['--prompt', prompt]),
  );
  expect(together?.results).toEqual(prompts.map((prompt, at) => ({ prompt, ...single[at] })));
  const people = await run(['--prompt', 'name: ada', '--prompt', 'name: bela']);
  expect(people.stdout).toContain(`> name: ada\n${single[0]?.text}\n`);
});

test('--stream: pieces that are the text', async () => {
  const [plain] = await json(['--prompt', 'name: ada']);
  expect((await run(['--prompt', 'name: ada', '--stream'])).stdout).toBe(`${plain?.text}\n`);
  const lines = await json<{ piece?: string; prompt?: number } & Result>(['--prompt', 'name: ada', '--stream']);
  expect(lines.at(-1)).toEqual(plain);
  expect(
    lines
      .slice(0, -1)
      .map(({ piece }) => piece)
      .join(''),
  ).toBe(plain?.text);
  expect(lines.length).toBeGreaterThan(3);
  const several = await json<{ piece?: string; prompt?: number }>([
    '--prompt',
    'name: ada',
    '--prompt',
    'x',
    '--stream',
  ]);
  expect(
    several
      .filter(({ prompt }) => prompt === 0)
      .map(({ piece }) => piece)
      .join(''),
  ).toBe(plain?.text);
  const refused = await run(['--prompt', 'a', '--prompt', 'b', '--stream']);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain('--stream with several prompts');
});

test('--stop cuts the text before a string, across tokens', async () => {
  const [plain] = await json(['--prompt', 'name: ada']);
  const text = plain?.text ?? '';
  const stop = text.slice(5, 9);
  const [cut] = await json(['--prompt', 'name: ada', '--stop', 'no such text', '--stop', stop.replaceAll('\n', '\\n')]);
  expect(cut?.text).toBe(text.slice(0, text.indexOf(stop)));
  expect(plain?.ids.slice(0, cut?.ids.length)).toEqual(cut?.ids);
});

test('draws: by seed, filters and penalty', async () => {
  const flags = ['--prompt', 'name: ada', '--temperature', '3'];
  const [a, b, c] = [
    await json([...flags, '--seed', '1']),
    await json([...flags, '--seed', '1']),
    await json([...flags, '--seed', '2']),
  ];
  expect(a).toEqual(b);
  expect(a).not.toEqual(c);
  const greedy = await json(['--prompt', 'name: ada']);
  expect(a).not.toEqual(greedy);
  for (const filter of [
    ['--top-k', '1'],
    ['--top-p', '0.0001'],
    ['--min-p', '1'],
  ])
    expect(await json([...flags, ...filter])).toEqual(greedy);
  const [penalized] = await json(['--prompt', 'name: ada', '--repetition-penalty', '1000']);
  expect(new Set(penalized?.ids).size).toBe(penalized?.ids.length);
});

test.each([
  [['--top-k', '-1'], '--top-k: expected a whole number of at least 0, got -1'],
  [['--top-p', '0'], '--top-p: expected a number above 0 and of at most 1, got 0'],
  [['--top-p', '1.5'], '--top-p'],
  [['--min-p', '2'], '--min-p: expected a number of at least 0 and of at most 1, got 2'],
  [['--repetition-penalty', '0'], '--repetition-penalty: expected a number above 0'],
  [['--stop', ''], 'stopStrings'],
])('refused: %j', async (flags, words) => {
  const outcome = await run(['--prompt', 'a', ...flags]);
  expect(outcome.code).toBe(2);
  expect(outcome.stderr).toContain(words);
});

test('what generation_config.json asks and Lowrank cannot is refused, with the flag that leaves it aside', async () => {
  const model = mkdtempSync(join(tmpdir(), 'lowrank-generate-'));
  cpSync(join(golden, 'tied'), model, { recursive: true });
  writeFileSync(join(model, 'generation_config.json'), '{"num_beams": 4}');
  const flags = ['generate', '--model', model, '--device', 'cpu', '--max-new-tokens', '1', '--prompt', 'a'];
  const refused = await runCli(flags);
  const [flag = ''] = /--[a-z-]+/.exec(refused.stderr.split('num_beams')[1] ?? '') ?? [];
  expect({ code: refused.code, flag }).toEqual({ code: 2, flag: '--no-generation-config' });
  expect((await runCli([...flags, flag])).code).toBe(0);
  rmSync(model, { recursive: true });
});

test('--kv-cache f16 writes the same; another type is refused', async () => {
  const plain = await json(['--prompt', 'name: ada']);
  expect(await json(['--prompt', 'name: ada', '--kv-cache', 'f16'])).toEqual(plain);
  const refused = await run(['--prompt', 'name: ada', '--kv-cache', 'int8']);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toMatch(/--kv-cache.*expected.*f32.*f16/);
});
