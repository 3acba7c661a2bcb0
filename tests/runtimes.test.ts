import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { root } from '../scripts/lib/paths.mjs';
import { exampleOf, exampleWith } from './helpers/readmeExample';

// The README's example as users run it: the built packages, in each runtime that has a file system. Chromium's turn is
// tests/browser/readmeExample.test.ts.
const steps = 4;
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const work = mkdtempSync(join(tmpdir(), 'lowrank-runtimes-'));
// Within a package that depends on lowrank, so that every runtime finds it. (Bun follows the checkout's tsconfig to the
// sources.)
const scripts = join(root, 'examples/demo/.cache');
const bin = (name: string): string => join(root, 'node_modules/.bin', name);
const golden = join(root, 'parity/golden/llama');

beforeAll(() => mkdirSync(scripts, { recursive: true }));
afterAll(() => {
  rmSync(work, { recursive: true, force: true });
  rmSync(scripts, { recursive: true, force: true });
});

test('the example has at most ten lines', () => {
  expect(exampleOf(readme).trimEnd().split('\n').length).toBeLessThanOrEqual(10);
});

const runtimes: Readonly<Record<string, (script: string) => [command: string, args: string[]]>> = {
  node: (script) => [process.execPath, [script]],
  deno: (script) => [bin('deno'), ['run', '-A', '--node-modules-dir=manual', '--no-lock', script]],
  bun: (script) => [bin('bun'), ['run', script]],
};

const losses = new Map<string, readonly number[]>();

test.each(Object.keys(runtimes))('%s trains, saves and writes', (name) => {
  const output = join(work, name);
  const script = join(scripts, `${name}.mjs`);
  const inputs = { model: join(golden, 'tied'), data: join(golden, 'train/rows.jsonl'), output, steps };
  writeFileSync(script, exampleWith(readme, inputs));
  const [command, args] = runtimes[name]?.(script) ?? ['', []];
  const env = { ...process.env, NO_COLOR: '1', DENO_NO_UPDATE_CHECK: '1' };
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: work, encoding: 'utf8', env, timeout: 110_000 });
  expect({ status, stderr }).toMatchObject({ status: 0 });
  const printed = [...stdout.matchAll(/^(\d+) (\d+\.\d+)$/gm)];
  expect(printed.map(([, step]) => Number(step))).toEqual([1, 2, 3, 4]);
  losses.set(
    name,
    printed.map(([, , loss]) => Number(loss)),
  );
  expect(JSON.parse(readFileSync(join(output, 'adapter_config.json'), 'utf8'))).toMatchObject({
    peft_type: 'LORA',
    r: 16,
    base_model_name_or_path: inputs.model,
  });
});

const throughWorker = (model: string, data: string): string => `
  import { startTrainer } from 'lowrank/worker';
  const trainer = await startTrainer();
  const model = await trainer.loadModel(${JSON.stringify(model)}, { device: 'cpu' });
  const onStep = ({ step, loss }) => console.log(step, loss);
  const run = await trainer.fineTune(model, { data: ${JSON.stringify(data)}, r: 4, steps: 2, onStep });
  console.log(Object.keys(await run.files()).sort().join());
  await model.loadAdapter('./nowhere').catch(({ code }) => console.log(code));
  trainer.dispose();
`;

test.each(Object.keys(runtimes))('%s trains through a worker of its own, and ends', (name) => {
  const script = join(scripts, `${name}Worker.mjs`);
  writeFileSync(script, throughWorker(join(golden, 'tied'), join(golden, 'train/rows.jsonl')));
  const [command, args] = runtimes[name]?.(script) ?? ['', []];
  const env = { ...process.env, NO_COLOR: '1', DENO_NO_UPDATE_CHECK: '1' };
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: work, encoding: 'utf8', env, timeout: 60_000 });
  expect({ status, stderr }).toMatchObject({ status: 0 });
  const [first = '', second = '', ...others] = stdout.trim().split('\n');
  expect([first, second].map((line) => Number(line.split(' ')[1])).every((loss) => loss > 1 && loss < 20)).toBe(true);
  expect(others).toEqual(['README.md,adapter_config.json,adapter_model.safetensors', 'models.noFolder']);
});

test('all of them compute the same', () => {
  const [first = [], ...others] = losses.values();
  expect(others).toHaveLength(2);
  for (const other of others) other.forEach((loss, at) => expect(loss).toBeCloseTo(first[at] ?? NaN, 4));
});
