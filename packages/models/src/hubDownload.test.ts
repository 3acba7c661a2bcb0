import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { commit, gitBlob, hubServer, repo, sha256 } from '../../../tests/helpers/hubServer.js';
import type { HubServer } from '../../../tests/helpers/hubServer.js';
import { loopback } from '../../../tests/helpers/loopback.js';
import { folderCache } from './cacheFolder.js';
import { findModel } from './filesFind.js';
import type { FindOptions } from './filesFind.js';
import { downloadModel } from './filesRemote.js';

const config = new TextEncoder().encode('{"model_type":"llama"}');
const weights = Uint8Array.from({ length: 200_003 }, (_, at) => (at * 31 + (at >> 7)) & 255);
const page = '<!DOCTYPE html><title>Log in</title>';

let home: string;
let hub: HubServer;
/** Milliseconds that downloads waited for. */
let waits: number[];

beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), 'lowrank-lies-'));
  hub = await hubServer({ 'config.json': config, 'model.safetensors': weights });
  waits = [];
});

afterEach(async () => {
  await hub[Symbol.asyncDispose]();
  rmSync(home, { recursive: true });
});

const find = (options: FindOptions = {}, more: Record<string, string> = {}): ReturnType<typeof findModel> =>
  findModel(repo, {
    env: { HF_HOME: join(home, 'hf'), HF_ENDPOINT: hub.url, ...more },
    pause: (_, milliseconds) => Promise.resolve(void waits.push(milliseconds)),
    ...options,
  });
/** For servers that are silent. */
const impatient = { answer: 200, stall: 200 };
const refused = async (found: Promise<unknown>): Promise<{ code: string; message: string }> => {
  const error = await found.then(
    () => undefined,
    (reason: unknown) => reason as { code: string; message: string },
  );
  expect(error).toHaveProperty('remedy');
  return error ?? { code: '', message: '' };
};
const json = (response: ServerResponse, value: unknown, headers: Record<string, string> = {}): boolean => {
  response.writeHead(200, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(value));
  return true;
};
const isTree = (path: string): boolean => path.includes('/tree/');
const isRevision = (path: string): boolean => path.includes('/revision/');
const isWeights = (path: string): boolean => path.startsWith('/store/');
const kept = (): string[] =>
  existsSync(join(home, 'hf/hub')) ? readdirSync(join(home, 'hf/hub'), { recursive: true }).map(String) : [];
/** Requests for the weights. */
const tries = (): number => hub.requests.filter((request) => request.startsWith('GET /store/')).length;

describe('names that would leave the cache', () => {
  const outside = '../../../../victim';

  test.each([outside, '../main', '/etc/passwd', 'main', '0'.repeat(41), '', null, 7, { a: 1 }])(
    'a commit %j',
    async (sha) => {
      writeFileSync(join(home, 'victim'), 'mine');
      hub.lie = (_, response, path) => isRevision(path) && json(response, { _id: '1', id: repo, sha });
      expect((await refused(find())).code).toBe('files.unsafeName');
      expect(readFileSync(join(home, 'victim'), 'utf8')).toBe('mine');
      expect(kept().filter((name) => name.includes('snapshots'))).toEqual([]);
    },
  );

  test.each([outside, `${'0'.repeat(40)}/../../x`, 'CON', null, 5])('a hash %j', async (oid) => {
    const entry = { type: 'file', path: 'model.safetensors', size: 4 };
    for (const listed of [
      { ...entry, oid },
      { ...entry, oid: gitBlob(config), lfs: { oid, size: 4 } },
    ]) {
      if (oid === null && 'lfs' in listed) continue;
      hub.lie = (_, response, path) => isTree(path) && json(response, [listed]);
      expect((await refused(find())).code).toBe('files.unsafeName');
    }
    expect(kept().filter((name) => name.includes('blobs'))).toEqual([]);
  });

  test('files of other folders and with other names are passed over', async () => {
    const file = (path: unknown, bytes: Uint8Array): object => ({
      type: 'file',
      path,
      size: bytes.length,
      oid: gitBlob(bytes),
    });
    const strange = [
      '../config.json',
      '/tmp/x.safetensors',
      '..\\x.safetensors',
      '.safetensors',
      'a/config.json',
      null,
      'nul',
    ];
    hub.lie = (_, response, path) =>
      isTree(path) &&
      json(response, [
        ...strange.map((name) => file(name, config)),
        { type: 'directory', path: 'config.json' },
        file('config.json', config),
        { ...file('model.safetensors', weights), lfs: { oid: sha256(weights), size: weights.length } },
      ]);
    const { folder } = await find();
    expect(readdirSync(folder).sort()).toEqual(['config.json', 'model.safetensors']);
  });

  test('shards of an index', async () => {
    hub.files.set(
      'model.safetensors.index.json',
      new TextEncoder().encode(JSON.stringify({ weight_map: { a: '../../../escape.safetensors' } })),
    );
    expect((await refused(find())).code).toBe('files.unsafeName');
  });

  test.each(['../../x', '..', 'refs/../../x', '/x', 'a//b', '.git', 'a\\..\\b', ''])(
    'a revision %j',
    async (revision) => {
      const cache = await folderCache(join(home, 'cache'));
      for (const offline of [true, false])
        expect((await refused(downloadModel({ id: repo, revision }, { cache, endpoint: hub.url, offline }))).code).toBe(
          'files.unsafeName',
        );
    },
  );

  test.each(['../x', 'a', 'a/b/c', 'a/..', '/b', 'a/b?c'])('an id %j', async (id) => {
    const cache = await folderCache(join(home, 'cache'));
    const found = downloadModel({ id, revision: 'main' }, { cache, endpoint: hub.url });
    expect((await refused(found)).code).toBe('files.unsafeName');
  });

  test('the cache itself takes no path for a name', async () => {
    const cache = await folderCache(join(home, 'cache'));
    for (const use of [
      () => cache.blob('../x'),
      () => cache.partial('../x'),
      () => cache.drop('..'),
      () => cache.link(commit, '../x', 'key'),
      () => cache.link('..', 'x', 'key'),
      () => cache.open('../..', 'x'),
      () => cache.files('..'),
      () => cache.setRef('../x', commit),
      () => cache.setVerified('../x', ''),
      () => cache.unlink(commit, '../x'),
    ])
      await expect((async () => use())()).rejects.toMatchObject({ code: 'files.unsafeName' });
  });
});

describe('listings', () => {
  test('pages without end, and pages in a circle', async () => {
    let at = 0;
    const next = (to: number): Record<string, string> => ({
      Link: `<${hub.url}/api/models/${repo}/tree/${commit}?cursor=${to}>; rel="next"`,
    });
    hub.lie = (_, response, path) => isTree(path) && json(response, [], next(at++));
    expect((await refused(find())).message).toContain('at most 50 pages, got more, without end');
    expect(hub.requests.length).toBeLessThan(60);
    hub.lie = (_, response, path) => isTree(path) && json(response, [], next(1));
    expect((await refused(find())).message).toContain('leads back');
  });

  test('silence, before an answer and within one, and an endless one', async () => {
    for (const isSilent of [isRevision, isTree]) {
      hub.lie = (_, __, path) => isSilent(path);
      const { code, message } = await refused(find({ timing: impatient }));
      expect(code).toBe('models.offline');
      expect(message).toContain('no answer within 0.2 s');
    }
    hub.lie = (_, response, path) => isTree(path) && (response.writeHead(200).write('['), true);
    expect((await refused(find({ timing: impatient }))).message).toContain('nothing more came within 0.2 s');
    hub.lie = (_, response, path) => isTree(path) && pour(response.writeHead(200), ' '.repeat(1 << 20));
    expect((await refused(find())).message).toContain('at most 16777216 bytes');
  });

  test('pages that each come just in time are too late together', async () => {
    let at = 0;
    hub.lie = (_, response, path) => {
      if (!isTree(path)) return false;
      const link = `<${hub.url}/api/models/${repo}/tree/${commit}?cursor=${at++}>; rel="next"`;
      setTimeout(() => json(response, [], { Link: link }), 100);
      return true;
    };
    expect((await refused(find({ timing: { listing: 300 } }))).message).toContain('no listing within 0.3 s');
  });

  test.each([
    [page, 'a web page with status 200'],
    ['nonsense', 'other text with status 200'],
    ['{"error": 1}', 'a list of files'],
    ['[null]', 'a list of files'],
    ['', 'a web page'],
  ])('%j with status 200', async (body, words) => {
    hub.lie = (_, response, path) =>
      isTree(path) && (response.writeHead(200, { 'Content-Type': 'text/html' }).end(body), true);
    const { code, message } = await refused(find());
    expect(code).toBe('models.hub');
    expect(message).toContain(words);
  });

  test('a size that is none', async () => {
    for (const size of [-1, 1.5, 1e300, '5', null]) {
      const entry = { type: 'file', path: 'config.json', size, oid: gitBlob(config) };
      hub.lie = (_, response, path) => isTree(path) && json(response, [entry]);
      expect((await refused(find())).message).toContain('a number of bytes');
    }
    const entry = { type: 'file', path: 'config.json', size: 1e12, oid: gitBlob(config) };
    hub.lie = (_, response, path) => isTree(path) && json(response, [entry]);
    expect((await refused(find())).message).toContain('at most 268435456 bytes, got 1000000000000');
  });

  test('a busy hub is asked again when it says, unless that is too long', async () => {
    let busy = 2;
    hub.lie = (_, response, path) =>
      isRevision(path) && busy-- > 0 && (response.writeHead(503, { 'Retry-After': '7' }).end(), true);
    await find();
    expect(waits).toEqual([7000, 7000]);
    hub.lie = (_, response) => (response.writeHead(429, { 'Retry-After': '3600' }).end(), true);
    hub.requests.length = 0;
    const { code, message } = await refused(find());
    expect(code).toBe('models.hub');
    expect(message).toContain('429 Too Many Requests; it asks to wait 3600 s');
    expect(hub.requests).toHaveLength(1);
    hub.lie = (_, response) => (response.writeHead(500).end(), true);
    hub.requests.length = 0;
    expect((await refused(find())).message).toContain('500');
    expect(hub.requests).toHaveLength(4);
  });

  test('redirects in a circle', async () => {
    hub.lie = (_, response, path) => (response.writeHead(302, { Location: `${path}x` }).end(), true);
    expect((await refused(find())).message).toContain('redirect count exceeded');
    expect(hub.requests.length).toBeLessThan(30);
  });
});

/** Writes without end, as fast as it is read. */
function pour(response: ServerResponse, piece: string | Uint8Array): true {
  const more = (): void => {
    while (!response.destroyed && response.write(piece));
  };
  response.on('drain', more);
  more();
  return true;
}

describe('files', () => {
  const lieAbout = (answer: (request: IncomingMessage, response: ServerResponse) => void): void => {
    hub.lie = (request, response, path) => isWeights(path) && (answer(request, response), true);
  };

  test('shorter than listed, with a length that says so: twice, then never again', async () => {
    lieAbout((_, response) => response.writeHead(200, { 'Content-Length': 100_000 }).end(weights.subarray(0, 100_000)));
    const { code, message } = await refused(find());
    expect(code).toBe('models.checksum');
    expect(message).toContain('sends a file of 100000 bytes, and listed one of 200003');
    expect(tries()).toBe(2);
  });

  test('shorter than listed, without a length, and with 416 for what is missing', async () => {
    lieAbout((request, response) => {
      if (request.headers.range === undefined) response.writeHead(200).end(weights.subarray(0, 100_000));
      else response.writeHead(416).end();
    });
    const { code, message } = await refused(find());
    expect(code).toBe('models.download');
    expect(message).toContain('after 6 tries that brought nothing new');
    expect(tries()).toBe(6);
    expect(waits).toEqual([500, 1000, 2000, 4000, 8000]);
  });

  test('416 after a cut, from a server that has the file', async () => {
    let cut = true;
    lieAbout((request, response) => {
      if (request.headers.range !== undefined) response.writeHead(416).end();
      else if (cut)
        response.writeHead(200).write(weights.subarray(0, 70_000), () => setTimeout(() => response.destroy(), 20));
      else response.writeHead(200).end(weights);
      cut = false;
    });
    const { folder } = await find();
    expect(readFileSync(join(folder, 'model.safetensors')).equals(weights)).toBe(true);
    expect(tries()).toBe(3);
  });

  test('longer than listed, and without end', async () => {
    lieAbout((_, response) => response.writeHead(200).end(Buffer.concat([weights, weights])));
    expect((await refused(find())).message).toContain('more than 200003 bytes');
    expect(tries()).toBe(2);
    lieAbout((_, response) => pour(response.writeHead(200), new Uint8Array(65_536)));
    expect((await refused(find())).message).toContain('more than 200003 bytes');
    expect(tries()).toBe(4);
    expect(kept().filter((name) => name.includes(sha256(weights)))).toEqual([]);
  });

  test('a length that is longer than what comes, and another range than asked for', async () => {
    lieAbout((_, response) => {
      response.writeHead(200, { 'Content-Length': weights.length });
      response.write(weights.subarray(0, 10), () => setTimeout(() => response.destroy(), 5));
    });
    expect((await refused(find())).message).toContain('tries that brought nothing new');
    expect(tries()).toBe(6);
    hub.requests.length = 0;
    lieAbout((_, response) =>
      response.writeHead(206, { 'Content-Range': `bytes 5-200002/${weights.length}` }).end(weights.subarray(5)),
    );
    expect((await refused(find())).message).toContain('sends bytes from 5 on');
    expect(tries()).toBe(6);
  });

  test('one byte with each connection is no progress', async () => {
    lieAbout((request, response) => {
      const from = Number(/\d+/.exec(request.headers.range ?? '')?.[0] ?? 0);
      response.writeHead(from === 0 ? 200 : 206, from === 0 ? {} : { 'Content-Range': `bytes ${from}-200002/200003` });
      response.write(weights.subarray(from, from + 1), () => setTimeout(() => response.destroy(), 5));
    });
    expect((await refused(find())).message).toContain('after 6 tries');
    expect(tries()).toBe(6);
  });

  test('silence and drops of bytes', async () => {
    lieAbout(() => undefined);
    expect((await refused(find({ timing: impatient }))).message).toContain('no answer within 0.2 s');
    expect(tries()).toBe(6);
    hub.requests.length = 0;
    lieAbout((_, response) => {
      response.writeHead(200);
      const drops = setInterval(() => response.write('x'), 20);
      response.on('close', () => clearInterval(drops));
    });
    const { message } = await refused(find({ timing: { ...impatient, withoutProgress: 300 } }));
    expect(message).toContain('nothing more came within 0.2 s');
    // Too long without progress, 40 s by default, is the other end.
    expect(tries()).toBeLessThan(4);
  });

  test('a web page with status 200 instead of weights, and a pointer of LFS', async () => {
    lieAbout((_, response) => response.writeHead(200, { 'Content-Type': 'text/html' }).end(page));
    const { code, message } = await refused(find());
    expect(code).toBe('models.download');
    expect(message).toContain('a web page: a login');
    lieAbout((_, response) => response.writeHead(200).end('version https://git-lfs.github.com/spec/v1\noid sha256:0'));
    expect((await refused(find())).message).toContain('a pointer of Git LFS');
    expect(tries()).toBe(2);
    expect(kept().filter((name) => name.includes(sha256(weights)))).toEqual([]);
  });

  test('a redirect in a circle, and a busy store', async () => {
    lieAbout((request, response) => response.writeHead(302, { Location: `${request.url}x` }).end());
    expect((await refused(find())).message).toContain('redirect count exceeded');
    expect(tries()).toBeLessThan(30);
    lieAbout((_, response) => response.writeHead(503, { 'Retry-After': '20' }).end());
    waits.length = 0;
    expect((await refused(find())).message).toContain('503 Service Unavailable; it asks to wait 20 s, after 6 tries');
    expect(waits).toEqual([20_000, 20_000, 20_000, 20_000, 20_000]);
    lieAbout((_, response) =>
      response.writeHead(503, { 'Retry-After': new Date(Date.now() + 1e7).toUTCString() }).end(),
    );
    waits.length = 0;
    await refused(find());
    expect(waits).toEqual([]);
  });

  test('an empty file is a file', async () => {
    hub.files.set('merges.txt', new Uint8Array(0));
    const { folder } = await find();
    expect(readFileSync(join(folder, 'merges.txt')).length).toBe(0);
  });
});

describe('credentials', () => {
  test('a token goes to the endpoint alone, whatever hosts it names, and is echoed in no message', async () => {
    await using other = await loopback((request, response) =>
      request.url?.includes('/tree/') === true ? void json(response, []) : response.end(weights),
    );
    hub.lie = (_, response, path) => {
      if (isTree(path)) {
        const listed = [
          {
            type: 'file',
            path: 'model.safetensors',
            size: weights.length,
            oid: '',
            lfs: { oid: sha256(weights), size: weights.length },
          },
        ];
        return json(response, listed, { Link: `<${other.url}/api/models/${repo}/tree/x?cursor=1>; rel="next"` });
      }
      if (path.includes('/resolve/')) response.writeHead(302, { Location: `${other.url}/weights?sig=s1gned` }).end();
      return path.includes('/resolve/');
    };
    await find({}, { HF_TOKEN: 'hf_s3cret' });
    expect([...hub.tokens]).toEqual(['Bearer hf_s3cret']);
    expect(other.requests).toHaveLength(2);
    expect([...other.tokens]).toEqual([undefined]);
    hub.lie = (_, response) => {
      response.writeHead(403, { 'X-Error-Code': 'X', 'Content-Type': 'application/json' });
      response.end(JSON.stringify({ error: 'Bearer hf_s3cret \u001b[2J' }));
      return true;
    };
    const { message } = await refused(find({}, { HF_TOKEN: 'hf_s3cret' }));
    expect(message).toContain('Bearer …');
    expect(message).not.toContain('s3cret');
    expect(message).not.toContain('\u001b');
  });

  test('those in HF_ENDPOINT and in a URL stay out of names, folders and messages', async () => {
    const secret = hub.url.replace('//', '//me:s3cret@');
    await find({}, { HF_ENDPOINT: secret });
    expect([...hub.tokens]).toEqual([`Basic ${btoa('me:s3cret')}`]);
    hub.tokens.clear();
    const env = { HF_HOME: join(home, 'hf'), HF_TOKEN: 'hf_s3cret' };
    const { name, folder } = await findModel(`${secret}/plain?sig=s3cret`, { env });
    expect(name).toBe(`${hub.url}/plain`);
    expect([...hub.tokens]).toEqual([`Basic ${btoa('me:s3cret')}`]);
    expect(kept().join()).not.toContain('s3cret');
    expect(folder).not.toContain('s3cret');
    hub.lie = (_, response) => (response.writeHead(401).end(), true);
    for (const place of [`${secret}/plain`, 'http://me:s3cret@[bad/x', `${secret}/${repo}`, secret])
      expect((await refused(findModel(place, { env: { ...env, HF_ENDPOINT: secret } }))).message).not.toContain(
        's3cret',
      );
    const offline = findModel(`${secret}/other`, { env: { ...env, HF_HUB_OFFLINE: '1' } });
    expect((await refused(offline)).message).not.toContain('s3cret');
  });
});
