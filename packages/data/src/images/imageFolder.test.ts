import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { recordsOf } from '../readRecords.js';
import { splitsOf } from '../sources/splitsOf.js';

const home = mkdtempSync(join(tmpdir(), 'images-'));
afterAll(() => rmSync(home, { recursive: true, force: true }));

function put(folder: string, ...files: readonly string[]): string {
  for (const file of files) {
    const path = join(home, folder, file);
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, '');
  }
  return join(home, folder);
}

test('a folder of classes is rows, in order of classes and names, whatever else lies there', async () => {
  const path = put('plain', 'dog/b.PNG', 'dog/a.jpeg', 'cat/1.webp', 'cat/notes.txt', 'README', 'empty/x.md');
  const rows = await recordsOf(path);
  expect(rows.map(({ values }) => values)).toEqual([
    { image: 'cat/1.webp', label: 'cat' },
    { image: 'dog/a.jpeg', label: 'dog' },
    { image: 'dog/b.PNG', label: 'dog' },
  ]);
  expect(rows[0]).toMatchObject({ line: 1, name: `${path}/` });
  expect(await splitsOf(path)).toEqual([]);
});

test('parts are folders named as files of rows would be', async () => {
  const path = put('parts', 'train/cat/1.png', 'train/dog/2.png', 'val/cat/3.png', 'test/dog/4.png');
  expect(await splitsOf(path)).toEqual(['train', 'validation', 'test']);
  const images = async (split: 'train' | 'validation' | 'test'): Promise<unknown[]> =>
    (await recordsOf(path, { split })).map(({ values }) => values['image']);
  expect([await images('train'), await images('validation'), await images('test')]).toEqual([
    ['cat/1.png', 'dog/2.png'],
    ['cat/3.png'],
    ['dog/4.png'],
  ]);
});

test('files of rows count before folders of images, and a folder of neither is refused', async () => {
  const path = put('both', 'cat/1.png');
  writeFileSync(join(path, 'train.jsonl'), '{"image": "cat/1.png", "label": "tabby"}\n');
  expect((await recordsOf(path)).map(({ values }) => values['label'])).toEqual(['tabby']);
  await expect(recordsOf(put('neither', 'a/b.txt'))).rejects.toThrow('a file of rows named train');
});
