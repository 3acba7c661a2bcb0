import { spawn } from 'node:child_process';
import { mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { root } from '../scripts/lib/paths.mjs';

// The built command line as a process, since signals and full pipes are the process's.
const work = mkdtempSync(join(tmpdir(), 'lowrank-interruptions-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));
const golden = join(root, 'parity/golden/llama');

interface Ended {
  readonly code: number | null;
  readonly stderr: string;
}

/** `lowrank train` for so many steps, with what is to be done when the first step is on stdout. */
function train(
  output: string,
  steps: number,
  { stdout = 'pipe', onStep }: { stdout?: 'pipe' | number; onStep?: (pid: number) => void } = {},
): Promise<Ended> {
  const argv = ['train', '--model', join(golden, 'tied'), '--data', join(golden, 'train/rows.jsonl'), '--r', '4'];
  const flags = ['--output', output, '--steps', String(steps), '--device', 'cpu', '--json'];
  const child = spawn(process.execPath, [join(root, 'packages/lowrank/dist/cli.js'), ...argv, ...flags], {
    stdio: ['ignore', stdout, 'pipe'],
  });
  let stderr = '';
  child.stderr?.on('data', (text: Buffer) => (stderr += text.toString()));
  let seen = '';
  child.stdout?.on('data', (text: Buffer) => {
    if (seen.includes('"step":1,')) return;
    seen += text.toString();
    if (seen.includes('"step":1,') && child.pid !== undefined) onStep?.(child.pid);
  });
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, stderr })));
}

test.each<[NodeJS.Signals, number]>([
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
])('%s finishes the step, saves, and ends with %s', async (signal, code) => {
  const output = join(work, signal);
  const ended = await train(output, 1_000_000, { onStep: (pid) => process.kill(pid, signal) });
  expect(ended).toMatchObject({ code });
  expect(readdirSync(output).sort()).toEqual([
    'README.md',
    'adapter_config.json',
    'adapter_model.safetensors',
    'metrics.jsonl',
  ]);
});

test.runIf(process.platform === 'linux')(
  'a full disk behind stdout costs the output, said once, and nothing else',
  async () => {
    const output = join(work, 'full');
    const { code, stderr } = await train(output, 4, { stdout: openSync('/dev/full', 'w') });
    expect(code).toBe(0);
    expect(stderr.match(/cannot be written/g)).toHaveLength(1);
    expect(readFileSync(join(output, 'metrics.jsonl'), 'utf8').trimEnd().split('\n')).toHaveLength(4);
  },
);
