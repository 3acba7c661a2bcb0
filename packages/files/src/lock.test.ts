import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockFolder } from './lock.js';
import type { ProcessMark } from './processMark.js';
import { ownMark } from './processMark.js';

let folder = '';
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'lowrank-lock-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Puts the lock of another process there. */
async function lockOf(mark: Partial<ProcessMark>, ageSeconds = 0): Promise<void> {
  const path = join(folder, `.lowrank-lock-${mark.pid ?? process.ppid}-other`);
  writeFileSync(
    path,
    `${JSON.stringify({ ...(await ownMark()), since: '2026-11-01T10:00:00Z', pid: process.ppid, ...mark })}\n`,
  );
  const then = new Date(Date.now() - ageSeconds * 1000);
  utimesSync(path, then, then);
}

/** The number of a process that has ended. */
const ended = (): number => spawnSync(process.execPath, ['-e', '']).pid;

const isTaken = async (): Promise<boolean> =>
  lockFolder(folder).then(
    async (lock) => {
      await lock.release();
      return false;
    },
    (error: unknown) => (error as { code?: unknown }).code === 'files.locked' || Promise.reject(error as Error),
  );

test('one process at a time; the error names the holder', async () => {
  const lock = await lockFolder(folder);
  await expect(lockFolder(folder)).rejects.toMatchObject({
    code: 'files.locked',
    got: expect.stringContaining(`process ${process.pid} on ${hostname()}`) as string,
  });
  await lock.release();
  expect(readdirSync(folder)).toEqual([]);
  expect(await isTaken()).toBe(false);
});

test('of many that begin at once, also over the lock of a process that has ended, one gets it', async () => {
  await lockOf({ pid: ended(), started: undefined });
  const locks = await Promise.allSettled(Array.from({ length: 6 }, () => lockFolder(folder)));
  const got = locks.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  expect(got).toHaveLength(1);
  expect(readdirSync(folder)).toHaveLength(1);
  await got[0]?.release();
  expect(await isTaken()).toBe(false);
});

test('files have locks of their own', async () => {
  const lock = await lockFolder(folder, 'a.gguf');
  await (await lockFolder(folder, 'b.gguf')).release();
  await (await lockFolder(folder)).release();
  await expect(lockFolder(folder, 'a.gguf')).rejects.toMatchObject({ code: 'files.locked' });
  await lock.release();
});

test('the lock of a process that has ended is taken over, and only that', async () => {
  const own = await ownMark();
  await lockOf({ pid: ended(), started: undefined });
  expect(await isTaken()).toBe(false);
  // The process that started this one runs.
  await lockOf({ started: undefined });
  expect(await isTaken()).toBe(true);
  if (process.platform === 'linux') {
    // Its number is another process' by now, or of an earlier start of the machine.
    await lockOf({ started: '1' });
    expect(await isTaken()).toBe(false);
    await lockOf({ boot: 'another', pid: process.pid });
    expect(await isTaken()).toBe(false);
  }
  // Nobody knows of another machine's, until it has been silent for long.
  await lockOf({ pid: 1, host: 'elsewhere' });
  expect(await isTaken()).toBe(true);
  await lockOf({ pid: 1, host: 'elsewhere' }, 14 * 60);
  expect(await isTaken()).toBe(true);
  await lockOf({ pid: 1, host: 'elsewhere' }, 16 * 60);
  expect(await isTaken()).toBe(false);
  expect(own.pid).toBe(process.pid);
});

test('a process that ended while it named itself holds nothing', async () => {
  writeFileSync(join(folder, `.lowrank-lock-${ended()}-x`), '{"pid":');
  expect(await isTaken()).toBe(false);
  const half = join(folder, `.lowrank-lock-${process.ppid}-x`);
  writeFileSync(half, '');
  utimesSync(half, new Date(0), new Date(0));
  expect(await isTaken()).toBe(false);
  expect(readdirSync(folder)).toEqual([]);
});

test('a killed process that nobody has waited for has ended', async () => {
  if (process.platform !== 'linux') return;
  // The shell starts one that ends at once, becomes another program, and so never waits for it.
  const shell = spawn('sh', ['-c', 'sleep 0 & echo $!; exec sleep 20'], { stdio: ['ignore', 'pipe', 'ignore'] });
  try {
    const pid = await new Promise<number>((resolve) =>
      shell.stdout.once('data', (text) => resolve(Number(String(text)))),
    );
    while (!/\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8')))
      await new Promise((resolve) => setTimeout(resolve, 5));
    await lockOf({ pid, started: undefined });
    expect(await isTaken()).toBe(false);
  } finally {
    shell.kill('SIGKILL');
  }
});
