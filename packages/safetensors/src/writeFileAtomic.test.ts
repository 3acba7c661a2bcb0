import { mkdtemp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { complaint } from './testing.js';
import { writeSafetensors } from './write.js';
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
  await writeFileAtomic(path, writeSafetensors([]));
  expect(await readFile(path, 'latin1')).toBe('\u0008\0\0\0\0\0\0\0{}      ');
  expect(await readdir(folder)).toEqual(['file']);
});

it('leaves the old file and nothing else where the chunks fail', async () => {
  const path = join(folder, 'file');
  await writeFile(path, 'old');
  const failing = writeSafetensors([{ name: 'a', dtype: 'U8', shape: [4], data: () => [new Uint8Array(2)] }]);
  expect((await complaint(writeFileAtomic(path, failing))).code).toBe('safetensors.byteCount');
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
  expect((await complaint(writeFileAtomic(join(folder, 'none', 'file'), 'x'))).code).toBe('safetensors.notWritten');
  await mkdir(join(folder, 'taken', 'sub'), { recursive: true });
  expect((await complaint(writeFileAtomic(join(folder, 'taken'), 'x'))).code).toBe('safetensors.notWritten');
  expect(await readdir(folder)).toEqual(['taken']);
});
