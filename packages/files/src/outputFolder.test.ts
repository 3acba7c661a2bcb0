import { existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openOutputFolder } from './outputFolder.js';

let home = '';
beforeEach(() => (home = mkdtempSync(join(tmpdir(), 'lowrank-output-'))));
afterEach(() => rmSync(home, { recursive: true }));

test('the folder is made with its parents, and is empty', async () => {
  const { path } = await openOutputFolder(join(home, 'a/b/c'));
  expect(readdirSync(path)).toEqual([]);
});

test('discarding removes what was made and is empty, and nothing else', async () => {
  const folder = await openOutputFolder(join(home, 'a/b/c'));
  await folder.discard();
  expect(readdirSync(home)).toEqual([]);
  const kept = await openOutputFolder(join(home, 'a/b'));
  writeFileSync(join(home, 'a', 'file'), '');
  await kept.discard();
  expect(readdirSync(home)).toEqual(['a']);
  expect(readdirSync(join(home, 'a'))).toEqual(['file']);
  await (await openOutputFolder(home)).discard();
  expect(existsSync(home)).toBe(true);
});

test('a file in the way is told, and nothing is left', async () => {
  writeFileSync(join(home, 'file'), '');
  for (const path of ['file', 'file/below']) {
    await expect(openOutputFolder(join(home, path))).rejects.toMatchObject({ code: 'output.notWritable' });
  }
  expect(readdirSync(home)).toEqual(['file']);
});

test('a folder that is read from is refused, under any name', async () => {
  await expect(openOutputFolder(home, { inputs: [`${home}/.`] })).rejects.toMatchObject({ code: 'output.isInput' });
  symlinkSync(home, `${home}-link`);
  try {
    await expect(openOutputFolder(`${home}-link`, { inputs: ['/nowhere', home] })).rejects.toThrow(
      'the folder that is read from',
    );
  } finally {
    rmSync(`${home}-link`);
  }
});

test('a file system that makes no folders is told at once', { timeout: 5_000 }, async () => {
  if (process.platform !== 'linux') return;
  await expect(openOutputFolder('/proc/lowrank/adapter')).rejects.toMatchObject({ code: 'output.notWritable' });
});
