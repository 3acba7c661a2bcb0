import type { Disk } from '@lowrank/files';
import { beginSaving, claimOutput, currentFile, finishSaving, ownDisk, writeFileAtomic } from '@lowrank/files';
import { afterEach, expect, test } from 'vitest';
import { affineShader, runShader } from '../helpers/runShader';

// The disk of a page: its files cannot be written in place, nor its folders renamed.
const folder = 'saved';
const [config, weights] = ['adapter_config.json', 'adapter_model.safetensors'];

afterEach(() => ownDisk.removeTree(folder));

async function save(version: string, disk: Disk = ownDisk): Promise<void> {
  const saving = await beginSaving(folder, { first: config, replaces: (name) => name.startsWith('shard-'), disk });
  await saving.write(config, version);
  await saving.write(weights, new TextEncoder().encode(version));
  await saving.commit();
}

/** What a reader of Lowrank's finds. */
async function read(): Promise<string[]> {
  const texts = [];
  for (const name of [config, weights]) texts.push(await ownDisk.readText(await currentFile(folder, name)));
  return [...new Set(texts.map(String))];
}

/** A disk that stops for good at one of its operations, as a tab does that is closed. */
function closedAt(at: number): { disk: Disk; count: () => number } {
  let count = 0;
  const entries = Object.entries(ownDisk).map(([name, operation]: [string, unknown]) => {
    if (typeof operation !== 'function') return [name, operation];
    return [
      name,
      async (...given: unknown[]) => {
        count++;
        // A lock goes with its tab.
        if (count >= at && name !== 'lock') throw new Error('closed');
        return (operation as (...given: unknown[]) => unknown)(...given);
      },
    ];
  });
  return { disk: Object.fromEntries(entries) as Disk, count: () => count };
}

test('closed at any operation, a folder is the old adapter or the new one', async () => {
  const { disk, count } = closedAt(Infinity);
  await save('one');
  await save('two', disk);
  const found = new Set<string>();
  for (let at = 1; at <= count(); at++) {
    await ownDisk.removeTree(folder);
    await save('one');
    await ownDisk.createFile(`${folder}/shard-1`, 'old');
    const lock = ownDisk.lock.bind(ownDisk);
    const held: Array<{ release(): Promise<void> }> = [];
    const closing = closedAt(at).disk;
    const disk = {
      ...closing,
      lock: async (...given: Parameters<Disk['lock']>) => {
        const own = await lock(...given);
        held.push(own);
        return own;
      },
    };
    await save('two', disk).catch(() => undefined);
    for (const each of held) await each.release();
    const texts = await read();
    expect(texts).toHaveLength(1);
    found.add(texts.join());
    await finishSaving(folder);
    expect(await read()).toEqual(texts);
    const names = (await ownDisk.list(folder)).filter((name) => !name.startsWith('.lowrank-staged-'));
    expect(names.sort()).toEqual([config, weights, ...(texts[0] === 'one' ? ['shard-1'] : [])].sort());
  }
  expect([...found].sort()).toEqual(['one', 'two']);
});

test('files appear whole, grow at their end, and one writer holds a folder', async () => {
  const claim = await claimOutput(folder);
  await expect(claimOutput(folder)).rejects.toMatchObject({ code: 'files.locked' });
  expect(await ownDisk.isLocked(folder)).toBe(true);
  await writeFileAtomic(`${folder}/run.json`, 'first');
  await writeFileAtomic(`${folder}/run.json`, 'second');
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  for (const line of ['a\n', 'bc\n']) await ownDisk.append(`${folder}/metrics.jsonl`, bytes(line));
  expect(await ownDisk.readText(`${folder}/run.json`)).toBe('second');
  expect(await ownDisk.readText(`${folder}/metrics.jsonl`)).toBe('a\nbc\n');
  expect(await ownDisk.read(`${folder}/metrics.jsonl`, 2, 99)).toEqual(bytes('bc\n'));
  expect((await ownDisk.list(folder)).sort()).toEqual(['metrics.jsonl', 'run.json']);
  const failing = (async function* () {
    yield bytes('half');
    throw new Error('broke off');
  })();
  await expect(writeFileAtomic(`${folder}/run.json`, failing)).rejects.toThrow('broke off');
  expect(await ownDisk.readText(`${folder}/run.json`)).toBe('second');
  expect((await ownDisk.list(folder)).sort()).toEqual(['metrics.jsonl', 'run.json']);
  await claim.release();
  expect(await ownDisk.isLocked(folder)).toBe(false);
});

test('numbers from a file reach the GPU as they were written', async () => {
  await ownDisk.makeFolders(folder);
  const values = Float32Array.from({ length: 16 }, (_, at) => at / 4);
  await ownDisk.createFile(`${folder}/values`, new Uint8Array(values.buffer));
  const input = new Float32Array((await ownDisk.read(`${folder}/values`, 0, values.byteLength)).slice().buffer);
  const device = await (await navigator.gpu.requestAdapter())?.requestDevice();
  if (!device) throw new Error('no device');
  expect([...(await runShader({ device, code: affineShader, input, workgroups: 2 }))]).toEqual(
    Array.from(values, (value) => 2 * value + 1),
  );
  device.destroy();
});
