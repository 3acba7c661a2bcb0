import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { createServer as createVite, preview } from 'vite';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loopback } from '../../../tests/helpers/loopback.js';
import type { Loopback } from '../../../tests/helpers/loopback.js';
import { findModel } from './filesFind.js';
import { openFolder, openWeights } from './files.js';
import type { TransferProgress } from './progress.js';

const golden = join(import.meta.dirname, '../../../parity/golden/llama/tied');
const names = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'].filter((name) =>
  existsSync(join(golden, name)),
);
const files = new Map(names.map((name) => [name, readFileSync(join(golden, name))]));
const page = '<!doctype html>\n<html><body>start page</body></html>';

let home: string;
beforeEach(() => (home = mkdtempSync(join(tmpdir(), 'lowrank-servers-'))));
afterEach(() => rmSync(home, { recursive: true }));

/** Downloads the model below a URL and compares it, byte by byte. */
async function expectWhole(url: string): Promise<TransferProgress | undefined> {
  let last: TransferProgress | undefined;
  const { folder } = await findModel(url, {
    env: { HF_HOME: join(home, 'hf') },
    pause: () => Promise.resolve(),
    onProgress: (progress) => (last = progress),
  });
  expect(readdirSync(folder).sort()).toEqual(names);
  for (const [name, bytes] of files) expect(readFileSync(join(folder, name)).equals(bytes)).toBe(true);
  expect((await openWeights(await openFolder(folder))).tensors.size).toBeGreaterThan(0);
  return last;
}

type Answer = (request: IncomingMessage, response: ServerResponse, bytes: Buffer, name: string) => unknown;
/** A server of the model's files below `/model/`; others are absent. */
const server = (
  answer: Answer,
  absent: (response: ServerResponse) => void = (response) => response.writeHead(404).end(),
): Promise<Loopback> =>
  loopback((request, response) => {
    const name = request.url?.slice('/model/'.length).replace(/\?.*/, '') ?? '';
    const bytes = files.get(name);
    if (bytes === undefined) absent(response);
    else answer(request, response, bytes, name);
  });
const etag = (bytes: Buffer): string => `"${bytes.length.toString(36)}"`;

describe('servers that compress, whatever is asked for', () => {
  test.each([true, false])('with the length of the compressed bytes: %j', async (withLength) => {
    await using made = await server((_, response, bytes) => {
      const body = gzipSync(bytes);
      const length = withLength ? { 'Content-Length': body.length } : {};
      response.writeHead(200, { 'Content-Encoding': 'gzip', ETag: etag(bytes), ...length }).end(body);
    });
    const { bytes, totalBytes } = (await expectWhole(`${made.url}/model`)) ?? {};
    expect(bytes).toBe(totalBytes);
    expect(bytes).toBe(files.get('model.safetensors')?.length);
    made.requests.length = 0;
    await expectWhole(`${made.url}/model/`);
    expect(made.requests.filter((request) => request.startsWith('GET'))).toEqual([]);
  });
});

describe('servers that say little', () => {
  test('no length, in chunks or until the connection closes', async () => {
    for (const isChunked of [true, false]) {
      await using made = await server((request, response, bytes) => {
        response.useChunkedEncodingByDefault = isChunked;
        response.writeHead(200, { ETag: etag(bytes) });
        response.end(request.method === 'HEAD' ? undefined : bytes);
      });
      await expectWhole(`${made.url}/model`);
    }
  });

  test('a cut without a length is no end: weights by their header, JSON by its own', async () => {
    for (const cut of ['model.safetensors', 'config.json']) {
      let times = 1;
      await using made = await server((request, response, bytes, name) => {
        response.useChunkedEncodingByDefault = false;
        response.writeHead(200, { ETag: etag(bytes) });
        const isCut = request.method === 'GET' && name === cut && times-- > 0;
        response.end(request.method === 'HEAD' ? undefined : bytes.subarray(0, isCut ? bytes.length - 2 : undefined));
      });
      await expectWhole(`${made.url}/model`);
      times = Infinity;
      rmSync(join(home, 'hf'), { recursive: true });
      await expect(expectWhole(`${made.url}/model`)).rejects.toMatchObject({
        code: 'models.checksum',
        got: expect.stringMatching(/^others, twice \(\d+ bytes/) as string,
      });
    }
  });

  test('no length and no end', async () => {
    await using made = await server((request, response, bytes, name) => {
      response.writeHead(200).write(request.method === 'HEAD' ? '' : bytes);
      if (request.method === 'HEAD' || name !== 'model.safetensors') response.end();
      else for (let more = 0; more < 100; more++) response.write(Buffer.alloc(65_536));
    });
    await expect(expectWhole(`${made.url}/model`)).rejects.toMatchObject({ code: 'models.download' });
  });

  test.each([
    ['refuses HEAD', 405],
    ['fails at HEAD', 500],
    ['answers HEAD with no length', 200],
  ])('one that %s', async (_, status) => {
    await using made = await server((request, response, bytes) => {
      if (request.method === 'HEAD') response.writeHead(status, { 'Content-Length': 0 }).end();
      else response.writeHead(200, { ETag: etag(bytes), 'Content-Length': bytes.length }).end(bytes);
    });
    await expectWhole(`${made.url}/model`);
  });

  test('neither ETag nor date: everything is downloaded again, since nothing says that it is the same', async () => {
    let model = files.get('config.json') ?? Buffer.alloc(0);
    await using made = await server((_, response, bytes, name) => response.end(name === 'config.json' ? model : bytes));
    await expectWhole(`${made.url}/model`);
    const other = Buffer.from(model.toString().replace('llama', 'LLAMA'));
    model = other;
    const { folder } = await findModel(`${made.url}/model`, { env: { HF_HOME: join(home, 'hf') } });
    expect(readFileSync(join(folder, 'config.json')).equals(other)).toBe(true);
  });

  test('what a folder loses is lost here too', async () => {
    const extra = new Map([['added_tokens.json', Buffer.from('{"old": 1}')]]);
    await using made = await loopback((request, response) => {
      const name = request.url?.slice('/model/'.length) ?? '';
      const bytes = files.get(name) ?? extra.get(name);
      if (bytes === undefined) response.writeHead(404).end();
      else response.writeHead(200, { ETag: etag(bytes) }).end(bytes);
    });
    const { folder } = await findModel(`${made.url}/model`, { env: { HF_HOME: join(home, 'hf') } });
    expect(readdirSync(folder)).toContain('added_tokens.json');
    extra.clear();
    await expectWhole(`${made.url}/model`);
  });
});

describe('single-page applications', () => {
  const fallback = (response: ServerResponse): void =>
    void response.writeHead(200, { 'Content-Type': 'text/html', 'Content-Length': page.length }).end(page);

  test('their start page is no file', async () => {
    await using made = await server(
      (_, response, bytes) => response.writeHead(200, { ETag: etag(bytes) }).end(bytes),
      fallback,
    );
    await expectWhole(`${made.url}/model`);
  });

  test('a file that is called a page, and is none, counts', async () => {
    await using made = await server(
      (_, response, bytes) => response.writeHead(200, { ETag: etag(bytes), 'Content-Type': 'text/html' }).end(bytes),
      fallback,
    );
    await expectWhole(`${made.url}/model`);
  });

  test('nothing but pages says so; a login that others are sent to too', async () => {
    await using made = await loopback((request, response) =>
      request.url === '/login' ? fallback(response) : void response.writeHead(302, { Location: '/login' }).end(),
    );
    await expect(expectWhole(`${made.url}/model`)).rejects.toMatchObject({
      code: 'models.noFile',
      got: expect.stringContaining('a web page: a login') as string,
    });
  });
});

describe('Vite', () => {
  const place = (path: string): void => {
    mkdirSync(path, { recursive: true });
    for (const [name, bytes] of files) writeFileSync(join(path, name), bytes);
  };
  const options = { configFile: false, logLevel: 'silent', envFile: false } as const;

  test('its dev server, from public/ and from the root', async () => {
    place(join(home, 'site/public/model'));
    place(join(home, 'site/other'));
    writeFileSync(join(home, 'site/index.html'), page);
    const vite = await createVite({
      ...options,
      root: join(home, 'site'),
      server: { port: 0, host: '127.0.0.1', watch: null, hmr: false },
    });
    try {
      await vite.listen();
      const url = (vite.resolvedUrls?.local[0] ?? '').replace(/\/$/, '');
      await expectWhole(`${url}/model`);
      await expectWhole(`${url}/other`);
    } finally {
      await vite.close();
    }
  });

  test('its preview server, which compresses', async () => {
    place(join(home, 'site/dist/model'));
    writeFileSync(join(home, 'site/dist/index.html'), page);
    const vite = await preview({
      ...options,
      root: join(home, 'site'),
      preview: { port: 0, host: '127.0.0.1' },
    });
    try {
      await expectWhole(`${(vite.resolvedUrls?.local[0] ?? '').replace(/\/$/, '')}/model`);
    } finally {
      await vite.close();
    }
  });
});

test('GitHub Pages: weak tags and compression where it is asked for, ranges, its own page with 404', async () => {
  await using made = await server(
    (request, response, bytes, name) => {
      const isText = !name.endsWith('.safetensors');
      const headers = {
        Server: 'GitHub.com',
        'Content-Type': isText ? 'application/json; charset=utf-8' : 'application/octet-stream',
        'Last-Modified': 'Sun, 29 Nov 2026 12:00:00 GMT',
        'Cache-Control': 'max-age=600',
        'Accept-Ranges': 'bytes',
        Vary: 'Accept-Encoding',
      };
      if (isText && /gzip/.test(String(request.headers['accept-encoding']))) {
        const body = gzipSync(bytes);
        const encoded = { 'Content-Encoding': 'gzip', ETag: 'W/"6565-1f4"', 'Content-Length': body.length };
        return response.writeHead(200, { ...headers, ...encoded }).end(body);
      }
      const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
      const range = { 'Content-Range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` };
      return response
        .writeHead(from > 0 ? 206 : 200, {
          ...headers,
          ...(from > 0 ? range : {}),
          ETag: `"6565-${bytes.length}"`,
          'Content-Length': bytes.length - from,
        })
        .end(request.method === 'HEAD' ? undefined : bytes.subarray(from));
    },
    (response) => void response.writeHead(404, { 'Content-Type': 'text/html' }).end(page),
  );
  await expectWhole(`${made.url}/model`);
  made.requests.length = 0;
  await expectWhole(`${made.url}/model`);
  expect(made.requests.filter((request) => request.startsWith('GET'))).toEqual([]);
});
