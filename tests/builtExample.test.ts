import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { root } from '../scripts/lib/paths.mjs';

// The example as a user runs it: plain Node, the built packages.
const output = mkdtempSync(join(tmpdir(), 'builtExample-'));
afterAll(() => rmSync(output, { recursive: true, force: true }));

const run = (args: string[]): { code: number | null; out: string; complaints: string } => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['examples/node/fineTune.mjs', ...args], {
    cwd: root,
    encoding: 'utf8',
  });
  return { code: status, out: stdout, complaints: stderr };
};

test('the example for Node trains on the built packages, saves, and ends by itself', () => {
  const { code, out, complaints } = run([
    'parity/golden/llama/tied',
    'parity/golden/llama/train/rows.jsonl',
    join(output, 'adapter'),
    '20',
  ]);
  expect(complaints).toBe('');
  expect(code).toBe(0);
  const losses = [...out.matchAll(/loss ([\d.]+)/g)].map(([, loss]) => Number(loss));
  expect(losses).toHaveLength(20);
  expect(losses.at(-1)).toBeLessThan((losses[0] ?? 0) * 0.8);
  expect(JSON.parse(readFileSync(join(output, 'adapter/adapter_config.json'), 'utf8'))).toMatchObject({
    peft_type: 'LORA',
    r: 4,
  });
});

test('without arguments it tells what it wants', () => {
  const { code, complaints } = run([]);
  expect(code).toBe(2);
  expect(complaints).toContain('Usage');
});
