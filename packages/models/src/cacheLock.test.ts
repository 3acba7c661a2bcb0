import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockFile } from './cacheLock.js';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'lowrank-lock-'))));
afterEach(() => rmSync(folder, { recursive: true }));

test('one holds it at a time', async () => {
  const path = join(folder, 'lock');
  const order: string[] = [];
  const first = await lockFile(path);
  const second = lockFile(path).then(async (lock) => {
    order.push('second');
    await lock.release();
  });
  await new Promise((resolve) => setTimeout(resolve, 300));
  order.push('first');
  await first.release();
  await second;
  expect(order).toEqual(['first', 'second']);
  expect(existsSync(path)).toBe(false);
});

test('a lock of a process that has ended, and one that nobody has touched for long, is taken over', async () => {
  const path = join(folder, 'lock');
  writeFileSync(path, String(spawnSync(process.execPath, ['--version']).pid));
  await (await lockFile(path)).release();
  writeFileSync(path, String(process.pid));
  utimesSync(path, new Date(0), new Date(0));
  await (await lockFile(path)).release();
  expect(existsSync(path)).toBe(false);
});
