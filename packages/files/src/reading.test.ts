import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { nodeDisk } from './nodeDisk.js';
import { committedName, currentFile, viewFolder } from './reading.js';
import { beginSaving, finishSaving } from './saving.js';

let folder = '';
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'lowrank-reading-'))));
afterEach(() => {
  chmodSync(folder, 0o755);
  rmSync(folder, { recursive: true, force: true });
});

const first = 'config.json';

/** Saves a model of this version; `undecided` stops right behind the rename that decides. */
async function save(version: string, { names = [first, 'model.safetensors'], stops = false } = {}): Promise<void> {
  let decided = false;
  const disk = {
    ...nodeDisk,
    async rename(from: string, to: string) {
      await nodeDisk.rename(from, to);
      decided = true;
    },
    removeFile: (path: string) => (stops && decided ? Promise.reject(new Error('killed')) : nodeDisk.removeFile(path)),
  };
  const saving = await beginSaving(folder, { first, replaces: (name) => name.startsWith('model'), disk });
  for (const name of names) await saving.write(name, version);
  await saving.commit().catch(() => saving.discard());
}

test('a saving that was decided and not moved is what a reader finds, and what it takes away is gone', async () => {
  await save('one', { names: [first, 'model-1.safetensors', 'notes.json'] });
  await save('two', { stops: true });
  expect(existsSync(join(folder, committedName))).toBe(true);
  chmodSync(folder, 0o555);
  const view = await viewFolder(folder);
  expect(readFileSync((await view.locate(first)) ?? '', 'utf8')).toBe('two');
  expect(readFileSync(await currentFile(folder, 'model.safetensors'), 'utf8')).toBe('two');
  expect(readFileSync((await view.locate('notes.json')) ?? '', 'utf8')).toBe('one');
  expect(await view.locate('model-1.safetensors')).toBe(undefined);
  expect(existsSync(await currentFile(folder, 'model-1.safetensors'))).toBe(false);
  expect(await view.names()).toEqual([first, 'model-1.safetensors', 'model.safetensors', 'notes.json']);
  await view.check();
});

test('a view holds on while a decided saving is moved, and ends with another one', async () => {
  await save('one', { stops: true });
  const view = await viewFolder(folder);
  await finishSaving(folder);
  expect(await view.locate('model.safetensors')).toBe(`${folder}/model.safetensors`);
  await view.check();
  await save('two', { stops: true });
  await expect(view.check()).rejects.toMatchObject({ code: 'files.changed' });
});

test('readers beside a process that saves again and again find one version, or say that it changed', async () => {
  await save('0');
  let versions = 0;
  let isDone = false;
  const reading = async (): Promise<number> => {
    let whole = 0;
    while (!isDone) {
      const view = await viewFolder(folder);
      const texts: string[] = [];
      try {
        for (const name of [first, 'model.safetensors']) {
          // Between the two, savings happen.
          const path = (await view.locate(name)) ?? '';
          texts.push(readFileSync(path, 'utf8'));
          await view.check();
        }
        expect(new Set(texts).size).toBe(1);
        whole++;
      } catch (error) {
        if (!/files\.changed|ENOENT/.test(String((error as { code?: unknown }).code))) throw error;
      }
    }
    return whole;
  };
  const readers = [reading(), reading()];
  for (; versions < 40; versions++) await save(String(versions));
  isDone = true;
  expect(Math.min(...(await Promise.all(readers)))).toBeGreaterThan(0);
  expect(readdirSync(folder).sort()).toEqual([first, 'model.safetensors']);
});

test('a folder without files is one too', async () => {
  mkdirSync(join(folder, 'empty'));
  const view = await viewFolder(join(folder, 'empty'));
  expect([await view.names(), await view.locate('config.json')]).toEqual([[], undefined]);
  writeFileSync(join(folder, 'empty', 'config.json'), '{}');
  await expect(view.check()).rejects.toMatchObject({ code: 'files.changed' });
});
