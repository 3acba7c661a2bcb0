import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { fileSource } from './fileSource.js';
import { openSafetensors } from './open.js';
import { complaint } from './testing.js';
import { serializeSafetensors } from './write.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lowrank-'));
});
afterAll(() => rm(folder, { recursive: true }));

it('reads a tensor out of a file', async () => {
  const path = join(folder, 'a.safetensors');
  await writeFile(
    path,
    serializeSafetensors([{ name: 'x', dtype: 'I16', shape: [3], data: new Uint8Array([1, 2, 3, 4, 5, 6]) }]),
  );
  const file = await openSafetensors(fileSource(path));
  expect(file.tensors.get('x')?.file).toBe(path);
  expect([...(await file.read('x'))]).toEqual([1, 2, 3, 4, 5, 6]);
  expect([...(await file.readRange('x', 2, 4))]).toEqual([3, 4]);
});

it('names a missing path and a folder', async () => {
  expect(await complaint(fileSource(join(folder, 'none', 'b')).size())).toMatchObject({ code: 'safetensors.missing' });
  const { code, message } = await complaint(fileSource(folder).size());
  expect(code).toBe('safetensors.missing');
  expect(message).toContain('a folder');
});

it('refuses a range beyond the file', async () => {
  const path = join(folder, 'c');
  await writeFile(path, 'abc');
  expect((await complaint(fileSource(path).read(1, 4))).code).toBe('safetensors.range');
});

it('refuses a file that was replaced between two reads', async () => {
  const path = join(folder, 'd');
  await writeFile(path, 'abcdef');
  const source = fileSource(path);
  await source.read(0, 2);
  await writeFile(`${path}.new`, 'ghijkl');
  await rename(`${path}.new`, path);
  expect((await complaint(source.read(2, 4))).code).toBe('safetensors.changed');
});
