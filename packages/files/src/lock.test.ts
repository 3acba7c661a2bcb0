import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockFolder } from './lock.js';

let folder = '';
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'lowrank-lock-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));
const lockPath = (): string => join(folder, '.lowrank-lock');

test('one process at a time; the error names the holder', async () => {
  const lock = await lockFolder(folder);
  await expect(lockFolder(folder)).rejects.toMatchObject({
    code: 'files.locked',
    got: expect.stringContaining(`process ${process.pid} on ${hostname()}`) as string,
  });
  await lock.release();
  expect(existsSync(lockPath())).toBe(false);
  await (await lockFolder(folder)).release();
});

test('the lock of a process that has ended is taken over, one of another machine is not', async () => {
  const { pid } = spawnSync(process.execPath, ['-e', '']);
  writeFileSync(lockPath(), JSON.stringify({ pid, host: hostname(), since: 'then' }));
  await (await lockFolder(folder)).release();
  writeFileSync(lockPath(), JSON.stringify({ pid, host: 'elsewhere', since: 'then' }));
  await expect(lockFolder(folder)).rejects.toMatchObject({ code: 'files.locked' });
  writeFileSync(lockPath(), 'half');
  await expect(lockFolder(folder)).rejects.toMatchObject({ got: 'a lock that does not name its process' });
});
