import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { root } from '../../scripts/lib/paths.mjs';

// The example of a Next route, built over the packed packages and asked.
const next = join(inject('tools'), 'node_modules/next/dist/bin/next');
const golden = join(root, 'parity/golden/llama');
// Within the project, so that Node finds the packages.
const folder = mkdtempSync(join(inject('project'), 'next-route-'));
let server: ChildProcess;
let address = '';

beforeAll(async () => {
  cpSync(join(root, 'examples/next'), folder, { recursive: true });
  const env = {
    ...process.env,
    NEXT_TELEMETRY_DISABLED: '1',
    MODEL: join(golden, 'tied'),
    ADAPTERS: ['tied-all', 'tied-qv'].map((name) => join(golden, 'adapters', name)).join(','),
  };
  const built = spawnSync(process.execPath, [next, 'build'], { cwd: folder, env, encoding: 'utf8' });
  if (built.status !== 0) throw new Error(`next build: ${built.stderr}`);
  server = spawn(process.execPath, [next, 'start', '--port', '0', '--hostname', '127.0.0.1'], { cwd: folder, env });
  address = await new Promise((resolve, reject) => {
    let said = '';
    for (const stream of [server.stdout, server.stderr])
      stream?.on('data', (piece: Buffer) => {
        said += piece.toString();
        const found = /http:\/\/127\.0\.0\.1:\d+/.exec(said)?.[0];
        if (found !== undefined && /Ready/.test(said)) resolve(found);
      });
    server.on('close', () => reject(new Error(said)));
  });
}, 180_000);

afterAll(() => {
  server?.kill();
  rmSync(folder, { recursive: true, force: true });
});

const ask = async (body: object): Promise<{ status: number; text: string }> => {
  const response = await fetch(`${address}/complete`, { method: 'POST', body: JSON.stringify(body) });
  return { status: response.status, text: await response.text() };
};

test('the base and two adapters write different texts, also when they are asked at once', async () => {
  const wanted = [undefined, 'tied-all', 'tied-qv'].map((adapter) => ({
    prompt: 'name: ada',
    adapter,
    maxNewTokens: 16,
  }));
  const answers = await Promise.all(wanted.map(ask));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
  expect(new Set(answers.map(({ text }) => text)).size).toBe(3);
  expect(await ask(wanted[1] ?? {})).toEqual(answers[1]);
}, 60_000);

test('an adapter that is not there is a sentence', async () => {
  const { status, text } = await ask({ prompt: 'name: ada', adapter: 'nobody' });
  expect(status).toBe(400);
  expect(JSON.parse(text)).toMatchObject({
    code: 'patch.noAdapter',
    error: expect.stringContaining('nobody') as string,
  });
});
