import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { root } from '../scripts/lib/paths.mjs';
import { writeWideLlama } from './helpers/wideLlama.js';

// The built command line as a process, since signals and full pipes are the process's.
const work = mkdtempSync(join(tmpdir(), 'lowrank-interruptions-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));
const golden = join(root, 'parity/golden/llama');

const cli = join(root, 'packages/lowrank/dist/cli.js');
const data = ['--data', join(golden, 'train/rows.jsonl')];

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
  const argv = ['train', '--model', join(golden, 'tied'), ...data, '--r', '4'];
  const flags = ['--output', output, '--steps', String(steps), '--device', 'cpu', '--json'];
  const child = spawn(process.execPath, [cli, ...argv, ...flags], {
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
  expect(
    readdirSync(output)
      .map((name) => name.replace(/tfevents.*|\d+$/, 'N'))
      .sort(),
  ).toEqual([
    'README.md',
    'adapter_config.json',
    'adapter_model.safetensors',
    'checkpoint-N',
    'events.out.N',
    'metrics.jsonl',
    'report.html',
    'run.json',
  ]);
});

test('a second signal ends the process at once, also in the middle of a computation of minutes', async () => {
  // PiSSA decomposes matrices of this width for longer than this test waits.
  const model = writeWideLlama(join(work, 'wide'), 768);
  const output = join(work, 'second');
  const pissa = ['--init-lora-weights', 'pissa', '--target-modules', 'all-linear', '--device', 'cpu'];
  const child = spawn(process.execPath, [cli, 'train', '--model', model, ...data, ...pissa, '--output', output], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const said = async (words: string): Promise<void> => {
    for (let text = ''; !text.includes(words);) {
      const [piece] = (await once(child.stderr, 'data')) as [Buffer];
      text += piece.toString();
    }
  };
  await said('device:');
  await setTimeout(500);
  child.kill('SIGTERM');
  // The first one is answered while the computation goes on.
  const first = performance.now();
  await said('interrupted:');
  expect(performance.now() - first).toBeLessThan(1000);
  // Not the same signal, passed on by a parent.
  await setTimeout(100);
  const second = performance.now();
  child.kill('SIGINT');
  expect(await once(child, 'exit')).toEqual([null, 'SIGINT']);
  expect(performance.now() - second).toBeLessThan(1000);
  expect(readdirSync(output).filter((name) => name.startsWith('adapter'))).toEqual([]);
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
