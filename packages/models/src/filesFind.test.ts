import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { folderCache } from './cacheFolder.js';
import { findModel } from './filesFind.js';
import type { FindOptions } from './filesFind.js';
import { downloadModel } from './filesRemote.js';
import type { TransferProgress } from './progress.js';
import { commit, gitBlob, hubServer, repo, sha256 } from '../../../tests/helpers/hubServer.js';
import type { HubServer } from '../../../tests/helpers/hubServer.js';

const bytes = (length: number, seed = 1): Uint8Array =>
  Uint8Array.from({ length }, (_, at) => (at * 31 + seed * 17 + (at >> 7)) & 255);
const text = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const config = text({ model_type: 'llama' });
const weights = bytes(200_003);

let home: string;
let hub: HubServer;

beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), 'lowrank-hub-'));
  hub = await hubServer({
    'config.json': config,
    'tokenizer.json': text({ a: 1 }),
    'model.safetensors': weights,
    'README.md': bytes(50),
    'pytorch_model.bin': bytes(99),
  });
});

afterEach(async () => {
  await hub[Symbol.asyncDispose]();
  rmSync(home, { recursive: true });
});

const env = (more: Record<string, string> = {}): Record<string, string> => ({
  HF_HOME: home,
  HF_ENDPOINT: hub.url,
  ...more,
});
const find = (what: string = repo, options: FindOptions = {}): ReturnType<typeof findModel> =>
  findModel(what, { env: env(), pause: () => Promise.resolve(), ...options });
const blobs = (): string => join(home, 'hub/models--tiny--llama/blobs');
const weightsBlob = (): string => join(blobs(), sha256(weights));
const ranges = (): string[] => hub.requests.filter((request) => request.startsWith('GET /store/'));

test('a hub id: what is needed and nothing else, in the layout of the hub cache', async () => {
  const progress: TransferProgress[] = [];
  const { name, folder } = await find(repo, { onProgress: (event) => progress.push(event) });
  expect(name).toBe(repo);
  expect(folder).toBe(join(home, 'hub/models--tiny--llama/snapshots', commit));
  expect(readdirSync(folder).sort()).toEqual(['config.json', 'model.safetensors', 'tokenizer.json']);
  expect(readFileSync(join(folder, 'model.safetensors')).equals(weights)).toBe(true);
  expect(lstatSync(join(folder, 'config.json')).isSymbolicLink()).toBe(true);
  expect(readlinkSync(join(folder, 'config.json'))).toBe(`../../blobs/${gitBlob(config)}`);
  expect(readFileSync(join(home, 'hub/models--tiny--llama/refs/main'), 'utf8')).toBe(commit);
  expect(readdirSync(blobs()).some((file) => file.endsWith('.incomplete'))).toBe(false);
  const last = progress.at(-1);
  expect(last).toMatchObject({
    bytes: weights.length,
    totalBytes: weights.length,
    secondsLeft: 0,
    item: 'model.safetensors',
  });

  hub.requests.length = 0;
  expect((await find(`${repo}@${commit}`)).folder).toBe(folder);
  expect((await find(`${hub.url}/${repo}`)).folder).toBe(folder);
  expect(hub.requests.some((request) => request.includes('/resolve/'))).toBe(false);
});

describe('downloads that end early', () => {
  test('a killed one goes on from what it had', async () => {
    const controller = new AbortController();
    hub.cut.set('model.safetensors', { bytes: 70_000, times: 100 });
    await expect(
      find(repo, { signal: controller.signal, pause: () => Promise.resolve(controller.abort(new Error('killed'))) }),
    ).rejects.toThrow('killed');
    const partial = statSync(`${weightsBlob()}.incomplete`).size;
    expect(partial).toBeGreaterThan(0);
    expect(partial).toBeLessThan(weights.length);
    hub.cut.clear();
    hub.requests.length = 0;
    const progress: TransferProgress[] = [];
    const { folder } = await find(repo, { onProgress: (event) => progress.push(event) });
    expect(ranges()).toEqual([`GET /store/model.safetensors bytes=${partial}-`]);
    expect(progress.at(0)?.bytes).toBeGreaterThan(partial);
    expect(readFileSync(join(folder, 'model.safetensors')).equals(weights)).toBe(true);
  });

  test('a connection that breaks off is made anew from there, as long as bytes come', async () => {
    hub.cut.set('model.safetensors', { bytes: 30_000, times: 6 });
    const { folder } = await find();
    expect(readFileSync(join(folder, 'model.safetensors')).equals(weights)).toBe(true);
    expect(ranges().length).toBe(7);
  });

  test('a server without ranges sends the whole again', async () => {
    hub.cut.set('model.safetensors', { bytes: 70_000, times: 1 });
    hub.noRanges = true;
    const { folder } = await find();
    expect(readFileSync(join(folder, 'model.safetensors')).equals(weights)).toBe(true);
  });

  test('two at once bring each file once', async () => {
    const [first, second] = await Promise.all([find(), find()]);
    expect(first.folder).toBe(second.folder);
    expect(ranges().length).toBe(1);
    expect(readFileSync(join(first.folder, 'model.safetensors')).equals(weights)).toBe(true);
    expect(readdirSync(blobs()).filter((file) => file.includes('.'))).toEqual([]);
  });

  test('none that never brings a byte goes on for ever', async () => {
    hub.cut.set('model.safetensors', { bytes: 0, times: 100 });
    await expect(find()).rejects.toMatchObject({
      code: 'models.download',
      remedy: expect.stringContaining('goes on from there') as string,
    });
  });
});

describe('flipped bytes', () => {
  test('on the way: told, and downloaded again', async () => {
    const warnings: string[] = [];
    hub.flip.set('model.safetensors', 1);
    const { folder } = await find(repo, { onWarning: (warning) => warnings.push(warning) });
    expect(readFileSync(join(folder, 'model.safetensors')).equals(weights)).toBe(true);
    expect(warnings).toEqual([expect.stringContaining('model.safetensors arrived damaged')]);
  });

  test.each(['model.safetensors', 'config.json'])(
    'on the way, twice: %s is an error, and nothing stays',
    async (file) => {
      hub.flip.set(file, 2);
      await expect(find()).rejects.toMatchObject({
        code: 'models.checksum',
        what: expect.stringContaining(file) as string,
      });
      const key = file === 'config.json' ? gitBlob(config) : sha256(weights);
      expect(readdirSync(blobs()).filter((name) => name.startsWith(key))).toEqual([]);
    },
  );

  test('in the kept part of a killed download', async () => {
    await find();
    const part = weights.slice(0, 100_000);
    part[5] = (part[5] ?? 0) ^ 64;
    rmSync(weightsBlob());
    writeFileSync(`${weightsBlob()}.incomplete`, part);
    const { folder } = await find();
    expect(readFileSync(join(folder, 'model.safetensors')).equals(weights)).toBe(true);
  });

  test('in the cache: downloaded again; without a network an error', async () => {
    await find();
    const damage = (): void => {
      const blob = readFileSync(weightsBlob());
      blob[1000] = (blob[1000] ?? 0) ^ 1;
      writeFileSync(weightsBlob(), blob);
    };
    damage();
    const warnings: string[] = [];
    const { folder } = await find(repo, { onWarning: (warning) => warnings.push(warning) });
    expect(readFileSync(join(folder, 'model.safetensors')).equals(weights)).toBe(true);
    expect(warnings).toEqual([expect.stringContaining('is damaged')]);
    damage();
    await expect(find(repo, { env: env({ HF_HUB_OFFLINE: '1' }) })).rejects.toMatchObject({ code: 'models.checksum' });
  });
});

describe('shards', () => {
  test('those of the index, and no single file beside them', async () => {
    const names = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
    hub.files.set('model.safetensors.index.json', text({ weight_map: { a: names[0], b: names[1] } }));
    names.forEach((name, at) => hub.files.set(name, bytes(1000, at)));
    for (const from of [repo, `${hub.url}/plain`]) {
      const { folder } = await find(from);
      expect(readdirSync(folder).sort()).toEqual([
        'config.json',
        ...names,
        'model.safetensors.index.json',
        'tokenizer.json',
      ]);
    }
    hub.files.delete('model-00002-of-00002.safetensors');
    await expect(find()).rejects.toMatchObject({ code: 'models.noFile', expected: names[1] });
  });

  test('a repository with a pickle alone says so', async () => {
    hub.files.delete('model.safetensors');
    await expect(find()).rejects.toMatchObject({ code: 'models.noFile', got: 'weights as a pickle alone' });
  });

  test('an adapter', async () => {
    hub.files.clear();
    hub.files.set('adapter_config.json', text({})).set('adapter_model.safetensors', bytes(64));
    expect(readdirSync((await find(repo, { kind: 'adapter' })).folder).sort()).toEqual([
      'adapter_config.json',
      'adapter_model.safetensors',
    ]);
  });
});

describe('refusals', () => {
  test('a gated model tells where to accept its terms, and about HF_TOKEN', async () => {
    hub.refuse = {
      status: 401,
      headers: { 'X-Error-Code': 'GatedRepo', 'X-Error-Message': 'Access to model tiny/llama is restricted.' },
    };
    await expect(find()).rejects.toMatchObject({
      code: 'models.gated',
      remedy: expect.stringMatching(/accept its terms at .*tiny\/llama, then set HF_TOKEN/) as string,
    });
    await expect(find(repo, { env: env({ HF_TOKEN: 'secret' }) })).rejects.toMatchObject({
      remedy: expect.stringContaining('check that the token') as string,
    });
  });

  test('no such repository, no such revision', async () => {
    await expect(find('tiny/lama')).rejects.toMatchObject({
      code: 'models.notFound',
      remedy: expect.stringContaining('misspelling') as string,
    });
    await expect(find(`${repo}@v9`)).rejects.toMatchObject({
      code: 'models.notFound',
      expected: 'the branch, tag or commit v9',
    });
  });

  test('no folder, and nothing that could be a hub id', async () => {
    await expect(find('/nowhere/at/all')).rejects.toMatchObject({
      code: 'models.noFolder',
      what: 'model folder /nowhere/at/all',
    });
    await expect(find(`${home}/file`, { kind: 'adapter' })).rejects.toMatchObject({
      what: `adapter folder ${home}/file`,
    });
  });
});

describe('tokens', () => {
  test('from HF_TOKEN, or the file of a login; none for plain URLs', async () => {
    await find(repo, { env: env({ HF_TOKEN: 'abc' }) });
    expect([...hub.tokens]).toEqual(['Bearer abc']);
    hub.tokens.clear();
    writeFileSync(join(home, 'token'), 'kept\n');
    await find();
    expect([...hub.tokens]).toEqual(['Bearer kept']);
    hub.tokens.clear();
    await find(`${hub.url}/plain/`);
    expect([...hub.tokens]).toEqual([undefined]);
  });
});

describe('without a network', () => {
  test('HF_HUB_OFFLINE uses the cache and asks nobody; what it lacks is an error', async () => {
    const offline = { env: env({ HF_HUB_OFFLINE: 'true' }) };
    await expect(find(repo, offline)).rejects.toMatchObject({ code: 'models.offline' });
    const { folder } = await find();
    hub.requests.length = 0;
    expect((await find(repo, offline)).folder).toBe(folder);
    expect((await find(`${repo}@${commit}`, offline)).folder).toBe(folder);
    expect(hub.requests).toEqual([]);
    rmSync(weightsBlob());
    await expect(find(repo, offline)).rejects.toMatchObject({ code: 'models.checksum', got: 'nothing' });
  });

  test('a hub that does not answer is told, and the cache is used', async () => {
    const down: FindOptions = {
      fetch: () => Promise.reject(new TypeError('fetch failed', { cause: new Error('getaddrinfo ENOTFOUND') })),
    };
    await expect(find(repo, down)).rejects.toMatchObject({ code: 'models.offline', got: 'getaddrinfo ENOTFOUND' });
    const { folder } = await find();
    const warnings: string[] = [];
    expect((await find(repo, { ...down, onWarning: (warning) => warnings.push(warning) })).folder).toBe(folder);
    expect(warnings).toEqual([expect.stringContaining('ENOTFOUND')]);
  });
});

describe('any URL', () => {
  test('its files, downloaded again only when they change there', async () => {
    const { name, folder } = await find(`${hub.url}/plain`);
    expect(name).toBe(`${hub.url}/plain`);
    expect(readdirSync(folder).sort()).toEqual(['config.json', 'model.safetensors', 'tokenizer.json']);
    hub.requests.length = 0;
    await find(`${hub.url}/plain`);
    expect(hub.requests.filter((request) => request.startsWith('GET'))).toEqual([]);
    hub.files.set('config.json', text({ model_type: 'other' }));
    await find(`${hub.url}/plain`);
    expect(readFileSync(join(folder, 'config.json'), 'utf8')).toContain('other');
    expect((await find(`${hub.url}/plain`, { env: env({ HF_HUB_OFFLINE: '1' }) })).folder).toBe(folder);
  });

  test('a killed download goes on, and starts anew where the file has changed since', async () => {
    const controller = new AbortController();
    hub.cut.set('model.safetensors', { bytes: 70_000, times: 100 });
    await expect(
      find(`${hub.url}/plain`, {
        signal: controller.signal,
        pause: () => Promise.resolve(controller.abort(new Error('killed'))),
      }),
    ).rejects.toThrow('killed');
    hub.cut.clear();
    hub.requests.length = 0;
    const { folder } = await find(`${hub.url}/plain`);
    expect(hub.requests.filter((request) => /^GET .*safetensors bytes=\d{5}-$/.test(request)).length).toBe(1);
    expect(existsSync(join(folder, 'model.safetensors'))).toBe(true);
    expect(readFileSync(join(folder, 'model.safetensors')).equals(weights)).toBe(true);
  });
});

test('a URL gets user and password of its own origin from the environment, and none from others', async () => {
  const credentials = (origin: string): Record<string, string> => ({
    LOWRANK_URL_CREDENTIALS: `https://you:other@example.org ${origin.replace('//', '//me:s3cret@')}`,
  });
  await find(`${hub.url}/plain`, { env: env(credentials(hub.url)) });
  expect([...hub.tokens]).toEqual([`Basic ${btoa('me:s3cret')}`]);
  hub.tokens.clear();
  await find(`${hub.url}/plain`, { env: env(credentials('http://localhost:1')) });
  await find(`${hub.url.replace('//', '//own:pair@')}/plain`, { env: env(credentials(hub.url)) });
  expect([...hub.tokens]).toEqual([undefined, `Basic ${btoa('own:pair')}`]);
});

test('a disk without room is told before anything is downloaded, with the need and what is free', async () => {
  const cache = await folderCache(join(home, 'hub/models--tiny--llama'));
  expect(await cache.room?.()).toBeGreaterThan(0);
  const options = { cache: { ...cache, room: () => Promise.resolve(1000) }, endpoint: hub.url };
  await expect(downloadModel({ id: repo, revision: 'main' }, options)).rejects.toMatchObject({
    code: 'models.cache',
    expected: expect.stringContaining(`${weights.length} bytes`) as string,
    got: expect.stringContaining('1000 bytes') as string,
  });
  expect(ranges()).toEqual([]);
  const partly = { ...options, cache: { ...cache, room: () => Promise.resolve(weights.length) } };
  await downloadModel({ id: repo, revision: 'main' }, partly);
  expect(ranges()).toHaveLength(1);
});
