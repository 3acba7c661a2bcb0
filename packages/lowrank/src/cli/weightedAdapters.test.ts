import { join } from 'node:path';
import { expect, test } from 'vitest';
import { golden, runCli, scratch } from '../testing.js';

const [qv, all] = ['tied-qv', 'tied-all'].map((name) => join(golden, 'adapters', name)) as [string, string];

async function ids(...flags: readonly string[]): Promise<readonly number[]> {
  const common = ['--model', join(golden, 'tied'), '--device', 'cpu', '--prompt', 'abc', '--max-new-tokens', '16'];
  const { code, json } = await runCli(['generate', ...common, '--json', ...flags]);
  expect(code).toBe(0);
  return json<{ ids: number[] }>().at(-1)?.ids ?? [];
}

test('generate: several adapters with weights write what their weighted sum does', async () => {
  using folder = scratch();
  const sum = join(folder.path, 'sum');
  const combined = ['--adapter', `${qv}=-2`, '--adapter', `${all}=3`];
  expect((await runCli(['combine', ...combined, '--output', sum])).code).toBe(0);
  const several = await ids('--adapter', qv, '--adapter', all, '--adapter-weights', '-2,3');
  expect(several).toEqual(await ids('--adapter', sum));
  expect(several).not.toEqual(await ids('--adapter', all));
  expect(await ids('--adapter', all, '--adapter-weights', '0')).toEqual(await ids());
  expect(await ids('--adapter', qv, '--adapter', all)).toEqual(
    await ids('--adapter', all, '--adapter', qv, '--adapter-weights', '1,1'),
  );
});

test('a weight too few, and weights without an adapter, are refused', async () => {
  const flags = ['generate', '--model', join(golden, 'tied'), '--device', 'cpu', '--adapter-weights', '1'];
  for (const [adapters, expected] of [
    [['--adapter', qv, '--adapter', all], 'expected 2 of them, one for each of the adapters, got 1'],
    [[], 'expected 0 of them'],
  ] as const) {
    const { code, stderr } = await runCli([...flags, ...adapters]);
    expect(code).toBe(2);
    expect(stderr).toContain(expected);
  }
});
