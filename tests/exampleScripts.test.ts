import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { root } from '../scripts/lib/paths.mjs';

// The examples for Deno and Bun as their READMEs run them, over the built packages; tests/builtExample.test.ts has
// Node's.
const output = mkdtempSync(join(tmpdir(), 'exampleScripts-'));
afterAll(() => rmSync(output, { recursive: true, force: true }));

const bin = (name: string): string => join(root, 'node_modules/.bin', name);
const runtimes = {
  deno: [bin('deno'), 'run', '-A', '--node-modules-dir=manual', '--no-lock'],
  bun: [bin('bun'), 'run'],
} as const;

function run(name: keyof typeof runtimes, args: readonly string[]): { code: number | null; out: string; said: string } {
  const [command, ...words] = runtimes[name];
  const env = { ...process.env, NO_COLOR: '1', DENO_NO_UPDATE_CHECK: '1' };
  const { status, stdout, stderr } = spawnSync(command, [...words, 'tune.ts', ...args], {
    cwd: join(root, 'examples', name),
    encoding: 'utf8',
    env,
    timeout: 110_000,
  });
  return { code: status, out: stdout, said: stderr };
}

const golden = join(root, 'parity/golden/llama');

test.each(['deno', 'bun'] as const)('%s: the loss falls, the answer changes, the adapter is PEFT’s', (name) => {
  const adapter = join(output, name);
  const { code, out, said } = run(name, [join(golden, 'tied'), join(golden, 'train/rows.jsonl'), adapter, '30']);
  expect({ code, said }).toMatchObject({ code: 0 });
  const losses = [...out.matchAll(/loss ([\d.]+)/g)].map(([, loss]) => Number(loss));
  expect(losses).toHaveLength(30);
  expect(losses.at(-1)).toBeLessThan((losses[0] ?? 0) * 0.9);
  const [before, after] = ['before', 'after'].map((word) => new RegExp(`^${word}: (.*)$`, 'm').exec(out)?.[1]);
  expect(after).not.toBe(before);
  expect(JSON.parse(readFileSync(join(adapter, 'adapter_config.json'), 'utf8'))).toMatchObject({ peft_type: 'LORA' });
});

test.each(['deno', 'bun'] as const)('%s: what is wrong is told in a sentence', (name) => {
  expect(run(name, [])).toMatchObject({ code: 2, said: expect.stringContaining('Usage') as string });
  const missing = run(name, [join(golden, 'tied'), 'none.jsonl', output]);
  expect(missing.code).toBe(2);
  expect(missing.said).toContain('none.jsonl');
  expect(missing.said).not.toMatch(/\bat .*:\d+:\d+/);
});
