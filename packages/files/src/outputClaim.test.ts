import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { claimFile } from './claimFile.js';
import { claimOutput } from './outputClaim.js';

let home = '';
beforeEach(() => (home = mkdtempSync(join(tmpdir(), 'lowrank-output-'))));
afterEach(() => rmSync(home, { recursive: true }));

test('the folder is made with its parents, and holds nothing but the lock', async () => {
  const claim = await claimOutput(join(home, 'a/b/c'));
  expect(readdirSync(claim.path)).toEqual([expect.stringMatching(/^\.lowrank-lock-/)]);
  await expect(claimOutput(claim.path)).rejects.toThrow(`process ${process.pid} on`);
  await claim.release();
  expect(readdirSync(claim.path)).toEqual([]);
});

test('discarding removes what was made and is empty, and nothing else', async () => {
  const folder = await claimOutput(join(home, 'a/b/c'));
  await folder.discard();
  expect(readdirSync(home)).toEqual([]);
  const kept = await claimOutput(join(home, 'a/b'));
  writeFileSync(join(home, 'a', 'file'), '');
  await kept.discard();
  expect(readdirSync(home)).toEqual(['a']);
  expect(readdirSync(join(home, 'a'))).toEqual(['file']);
  await (await claimOutput(home)).discard();
  expect(existsSync(home)).toBe(true);
});

test('a file in the way is told, and nothing is left', async () => {
  writeFileSync(join(home, 'file'), '');
  for (const path of ['file', 'file/below']) {
    await expect(claimOutput(join(home, path))).rejects.toMatchObject({ code: 'output.notWritable' });
  }
  expect(readdirSync(home)).toEqual(['file']);
});

test('a folder that is read from is refused, under any name', async () => {
  await expect(claimOutput(home, { inputs: [`${home}/.`] })).rejects.toMatchObject({ code: 'output.isInput' });
  symlinkSync(home, `${home}-link`);
  try {
    await expect(claimOutput(`${home}-link`, { inputs: ['/nowhere', home], overwrite: true })).rejects.toThrow(
      'the folder that is read from',
    );
  } finally {
    rmSync(`${home}-link`);
  }
});

test('a file system that makes no folders is told at once', { timeout: 5_000 }, async () => {
  if (process.platform !== 'linux') return;
  await expect(claimOutput('/proc/lowrank/adapter')).rejects.toMatchObject({ code: 'output.notWritable' });
});

test.each([
  ['adapter_config.json', 'an adapter', { run: true }],
  ['adapters.safetensors', 'an adapter', { run: true }],
  ['config.json', 'a model', { run: true }],
  ['model-00001-of-00002.safetensors', 'a model', { run: true }],
  ['pytorch_model.bin', 'a model', { run: true }],
  ['run.json', 'a run', { run: true }],
  ['metrics.jsonl', 'a run', { run: true }],
  ['checkpoint-12', 'a run', { run: true }],
  ['table.json', 'a study', { study: true }],
] as const)('a folder with %s is refused, and taken where that is meant', async (name, words, resumes) => {
  if (name.startsWith('checkpoint')) mkdirSync(join(home, name));
  else writeFileSync(join(home, name), 'mine');
  await expect(claimOutput(home)).rejects.toMatchObject({ code: 'output.taken', got: `${words} (${name})` });
  await expect(claimOutput(home)).rejects.toThrow('give overwrite to replace what is there');
  for (const resume of ['run', 'study'] as const) {
    const claimed = claimOutput(home, { resume });
    if (Object.hasOwn(resumes, resume)) await (await claimed).release();
    else await expect(claimed).rejects.toMatchObject({ code: 'output.taken' });
  }
  const claim = await claimOutput(home, { overwrite: true });
  expect(claim.holds?.name).toBe(name);
  await claim.discard();
  expect(readdirSync(home)).toEqual([name]);
});

test('what an earlier output left goes when another is whole, and other files stay', async () => {
  const old = ['config.json', 'tokenizer.json', 'model.safetensors', 'metrics.jsonl', 'notes.txt', 'README.md'];
  for (const name of old) writeFileSync(join(home, name), 'old');
  mkdirSync(join(home, 'checkpoint-3'));
  writeFileSync(join(home, 'checkpoint-3', 'adapter_config.json'), '{}');
  const claim = await claimOutput(home, { overwrite: true });
  const saving = await claim.beginSaving('adapter_config.json');
  await saving.write('adapter_config.json', 'new');
  expect(old.every((name) => readFileSync(join(home, name), 'utf8') === 'old')).toBe(true);
  await saving.commit();
  await claim.release();
  expect(readdirSync(home).sort()).toEqual(['README.md', 'adapter_config.json', 'notes.txt']);
});

test('what dead processes left is gone, or finished', async () => {
  mkdirSync(join(home, '.lowrank-staged-1-x'));
  writeFileSync(join(home, '.lowrank-staged-1-x', 'adapter_config.json'), 'half');
  writeFileSync(join(home, '.table.json.lowrank-abc.tmp'), 'half');
  writeFileSync(join(home, 'metrics.partial.jsonl'), '{}');
  writeFileSync(join(home, '.gitignore'), '');
  mkdirSync(join(home, '.lowrank-committed'));
  writeFileSync(join(home, '.lowrank-committed', 'config.json'), '{}');
  writeFileSync(join(home, '.lowrank-committed', '.order.json'), '{"first":"config.json","files":[],"gone":[]}');
  // A saving was decided: now there is a model.
  await expect(claimOutput(home)).rejects.toMatchObject({ code: 'output.taken' });
  expect(readdirSync(home).sort()).toEqual(['.gitignore', 'config.json']);
});

test('a file is claimed beside others; what is there is kept, and a folder in the way is told', async () => {
  const path = join(home, 'made', 'model.gguf');
  const gguf = { magic: 'GGUF' };
  const claim = await claimFile(path, gguf);
  await expect(claimFile(path, gguf)).rejects.toMatchObject({ code: 'files.locked' });
  await (await claimFile(join(home, 'made', 'other.gguf'), gguf)).discard();
  await claim.discard();
  expect(readdirSync(home)).toEqual([]);
  mkdirSync(join(home, 'made'));
  writeFileSync(path, '');
  writeFileSync(join(home, 'made', '.model.gguf.lowrank-abc.tmp'), 'half');
  await (await claimFile(path, gguf)).release();
  writeFileSync(path, 'GGUF, an older one');
  await (await claimFile(path, gguf)).release();
  writeFileSync(path, 'a letter');
  await expect(claimFile(path, gguf)).rejects.toMatchObject({ code: 'output.taken' });
  await (await claimFile(path, { ...gguf, overwrite: true })).release();
  expect(readdirSync(join(home, 'made'))).toEqual(['model.gguf']);
  await expect(claimFile(join(home, 'made'), gguf)).rejects.toMatchObject({ code: 'cli.output' });
});
