import { mkdtemp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { LowrankError } from '@lowrank/errors';
import { nodeDisk } from './nodeDisk.js';
import { claimOutput } from './outputClaim.js';
import { writeFileAtomic } from './writeFileAtomic.js';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lowrank-'));
});
afterEach(() => rm(folder, { recursive: true }));

it('writes text, bytes and chunks, and replaces what was there', async () => {
  const path = join(folder, 'file');
  await writeFileAtomic(path, 'héllo');
  expect(await readFile(path, 'utf8')).toBe('héllo');
  await writeFileAtomic(path, new Uint8Array([1, 2]));
  expect([...(await readFile(path))]).toEqual([1, 2]);
  await writeFileAtomic(path, [new Uint8Array([3]), new Uint8Array(0), new Uint8Array([4])]);
  expect([...(await readFile(path))]).toEqual([3, 4]);
  expect(await readdir(folder)).toEqual(['file']);
});

it('leaves the old file and nothing else where the chunks fail', async () => {
  const path = join(folder, 'file');
  await writeFile(path, 'old');
  await expect(
    writeFileAtomic(
      path,
      (function* (): Generator<Uint8Array> {
        yield new Uint8Array(2);
        throw new LowrankError({ code: 'test.short', what: 'the content' });
      })(),
    ),
  ).rejects.toMatchObject({ code: 'test.short' });
  await expect(
    writeFileAtomic(
      path,
      (async function* () {
        yield await Promise.resolve(new Uint8Array(5));
        throw new RangeError('a defect');
      })(),
    ),
  ).rejects.toThrow(RangeError);
  expect(await readFile(path, 'utf8')).toBe('old');
  expect(await readdir(folder)).toEqual(['file']);
});

it('says so where the folder is missing, or a folder is in the way', async () => {
  await expect(writeFileAtomic(join(folder, 'none', 'file'), 'x')).rejects.toMatchObject({ code: 'files.notWritten' });
  await mkdir(join(folder, 'taken', 'sub'), { recursive: true });
  await expect(writeFileAtomic(join(folder, 'taken'), 'x')).rejects.toMatchObject({ code: 'files.notWritten' });
  expect(await readdir(folder)).toEqual(['taken']);
});

it('a process that dies leaves what the next claim of the folder removes', async () => {
  const path = join(folder, 'table.json');
  const disk = { ...nodeDisk, rename: () => Promise.reject(new Error('killed')), removeFile: () => Promise.resolve() };
  await expect(writeFileAtomic(path, 'half', disk)).rejects.toThrow('killed');
  expect(await readdir(folder)).toHaveLength(1);
  await (await claimOutput(folder)).release();
  expect(await readdir(folder)).toEqual([]);
});
