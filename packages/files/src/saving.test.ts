import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { LowrankError } from '@lowrank/errors';
import type { Disk } from './disk.js';
import { nodeDisk } from './nodeDisk.js';
import { currentFile } from './reading.js';
import { beginSaving, finishSaving } from './saving.js';

let root = '';
beforeEach(() => (root = mkdtempSync(join(tmpdir(), 'lowrank-saving-'))));
afterEach(() => rmSync(root, { recursive: true, force: true }));

const config = 'adapter_config.json';
const weights = 'adapter_model.safetensors';
const options = { first: config, replaces: (name: string) => name.startsWith('shard-') };

/** Saves one version of a two-file adapter. */
async function save(folder: string, version: string, disk?: Disk): Promise<void> {
  const saving = await beginSaving(folder, { ...options, disk });
  try {
    await saving.write(config, version);
    await saving.write(weights, new TextEncoder().encode(version));
    await saving.commit();
  } catch (error) {
    await saving.discard();
    throw error;
  }
}

/** What a reader of Lowrank's finds: one version, or two. */
async function read(folder: string): Promise<string[]> {
  const texts = [];
  for (const name of [config, weights]) texts.push(readFileSync(await currentFile(folder, name), 'utf8'));
  return [...new Set(texts)];
}

/** What any other program finds: undefined without a configuration, which it refuses. */
function readPlainly(folder: string): string[] | undefined {
  const names = readdirSync(folder);
  if (!names.includes(config)) return undefined;
  return [...new Set([config, weights].map((name) => readFileSync(join(folder, name), 'utf8')))];
}

/** A disk whose operation number `at` fails as a full disk does, or ends the process: nothing works from then on. */
function failingDisk(at: number, kind: 'full' | 'killed'): { disk: Disk; count: () => number } {
  let count = 0;
  const fails = (): boolean => {
    count++;
    return kind === 'full' ? count === at : count >= at;
  };
  const guarded = Object.entries(nodeDisk).map(([name, operation]: [string, unknown]) => [
    name,
    async (...given: unknown[]) => {
      // A cleanup and a look are no writing, which a full disk refuses.
      const writes = ['makeFolder', 'createFile', 'rename'].includes(name);
      if ((kind === 'killed' || writes) && fails()) {
        if (name === 'createFile') writeFileSync(String(given[0]), 'half');
        throw Object.assign(new Error(kind === 'full' ? 'ENOSPC: no space left on device' : 'killed'), {
          syscall: 'write',
        });
      }
      return (operation as (...args: unknown[]) => Promise<unknown>)(...given);
    },
  ]);
  return { disk: Object.fromEntries(guarded) as Disk, count: () => count };
}

async function operations(kind: 'full' | 'killed'): Promise<number> {
  const { disk, count } = failingDisk(Infinity, kind);
  await save(join(root, 'counted'), 'one');
  await save(join(root, 'counted'), 'two', disk);
  return count();
}

test('a saving is what was written, over an older one too, and leaves nothing beside it', async () => {
  const folder = join(root, 'deep', 'adapter');
  await save(folder, 'one');
  writeFileSync(join(folder, 'shard-1'), '');
  writeFileSync(join(folder, 'notes.txt'), 'mine');
  await save(folder, 'two');
  expect(readdirSync(folder).sort()).toEqual([config, weights, 'notes.txt']);
  expect(readPlainly(folder)).toEqual(['two']);
});

test('killed at any operation, the folder is the old adapter or the new one, never a mixture', async () => {
  const all = await operations('killed');
  expect(all).toBeGreaterThan(10);
  const found = new Set<string>();
  for (let at = 1; at <= all; at++) {
    const folder = join(root, `killed-${at}`);
    await save(folder, 'one');
    await save(folder, 'two', failingDisk(at, 'killed').disk).catch(() => undefined);
    const [version = '', ...others] = await read(folder);
    expect(others, `operation ${at}`).toEqual([]);
    expect(readPlainly(folder)?.length ?? 1, `operation ${at}`).toBe(1);
    found.add(version);
    // The next process finishes what was decided, and everybody sees the same.
    await finishSaving(folder);
    expect(readPlainly(folder)).toEqual([version]);
    await save(folder, 'three');
    expect(readPlainly(folder)).toEqual(['three']);
  }
  expect([...found].sort()).toEqual(['one', 'two']);
});

test('a full disk at any operation leaves the old adapter whole, and says so', async () => {
  const all = await operations('full');
  for (let at = 1; at <= all; at++) {
    const folder = join(root, `full-${at}`);
    await save(folder, 'one');
    const error: unknown = await save(folder, 'two', failingDisk(at, 'full').disk).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: expect.stringMatching(/^files\.notWrit/) as string });
    const [version, ...others] = await read(folder);
    expect(others).toEqual([]);
    // Behind the deciding rename the new files count, whatever fails then.
    expect((error as LowrankError).remedy).toMatch(
      version === 'one' ? /is untouched|Nothing was done/ : /The new files are whole/,
    );
    if (version === 'one') expect(readdirSync(folder).sort()).toEqual([config, weights]);
    await save(folder, 'three');
    expect(readPlainly(folder)).toEqual(['three']);
  }
});

test('discarded, a folder that was made for it is gone', async () => {
  const saving = await beginSaving(join(root, 'a', 'b'), options);
  await saving.write(config, 'x');
  await saving.discard();
  expect(readdirSync(root)).toEqual([]);
});

test('where a model takes the place of an adapter, no program ever finds half of the adapter', async () => {
  const replaced = { first: 'config.json', replaces: () => true };
  const over = async (folder: string, disk?: Disk): Promise<void> => {
    const saving = await beginSaving(folder, { ...replaced, disk });
    await saving.write('model.safetensors', 'model');
    await saving.write('config.json', 'model');
    await saving.commit();
  };
  for (let at = 1, isKilled = true; isKilled; at++) {
    const folder = join(root, `replaced-${at}`);
    await save(folder, 'one');
    const { disk, count } = failingDisk(at, 'killed');
    await over(folder, disk).catch(() => undefined);
    isKilled = count() >= at;
    const names = readdirSync(folder);
    if (names.includes(config)) expect(names, `operation ${at}`).toContain(weights);
    if (names.includes('config.json')) expect(names, `operation ${at}`).toContain('model.safetensors');
    for (const name of names.filter((each) => each.startsWith('.lowrank-lock'))) rmSync(join(folder, name));
    await over(folder);
    expect(readdirSync(folder).sort()).toEqual(['config.json', 'model.safetensors']);
  }
});
