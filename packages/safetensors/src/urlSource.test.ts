import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openSafetensors } from './open.js';
import { complaint } from './testing.js';
import { urlSource } from './urlSource.js';
import { serializeSafetensors } from './write.js';

const file = serializeSafetensors([
  { name: 'a', dtype: 'U8', shape: [5000], data: new Uint8Array(5000).fill(1) },
  { name: 'b', dtype: 'U8', shape: [3], data: new Uint8Array([7, 8, 9]) },
]);

let server: Server | undefined;
afterEach(() => new Promise((done) => (server === undefined ? done(undefined) : server.close(done))));

async function serve(listener: RequestListener): Promise<{ url: string; seen: IncomingMessage[] }> {
  const seen: IncomingMessage[] = [];
  const listening = createServer((request, response) => {
    seen.push(request);
    response.setHeader('Connection', 'close');
    listener(request, response);
  });
  server = listening;
  await new Promise<void>((done) => listening.listen(0, '127.0.0.1', done));
  return { url: `http://127.0.0.1:${(listening.address() as AddressInfo).port}/model.safetensors`, seen };
}

/** Milliseconds that were waited for. */
let waits: number[] = [];
const pause = (_: number, milliseconds: number): Promise<void> => Promise.resolve(void waits.push(milliseconds));
beforeEach(() => void (waits = []));

/** A server that answers ranges, of `body`; `hide` leaves Content-Range out, as a browser does across origins. */
function ranged(body: Uint8Array, hide = false): RequestListener {
  return (request, response) => {
    const [, start, end] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    if (request.method === 'HEAD') return response.writeHead(200, { 'Content-Length': body.length }).end();
    if (start === undefined) return response.writeHead(200).end(body);
    if (Number(start) >= body.length) return response.writeHead(416).end();
    const part = body.subarray(Number(start), Number(end) + 1);
    return response.writeHead(206, hide ? {} : { 'Content-Range': `bytes ${start}-${end}/${body.length}` }).end(part);
  };
}

describe('a server with ranges', () => {
  it("reads only what is asked for, with the caller's headers", async () => {
    const { url, seen } = await serve(ranged(file));
    const opened = await openSafetensors(urlSource(url, { request: { headers: { Authorization: 'Bearer x' } } }));
    expect([...(await opened.read('b'))]).toEqual([7, 8, 9]);
    expect(seen.map((request) => request.headers.range)).toEqual([
      'bytes=0-0',
      'bytes=0-7',
      expect.any(String),
      `bytes=${file.length - 3}-${file.length - 1}`,
    ]);
    expect(seen.every((request) => request.headers.authorization === 'Bearer x')).toBe(true);
  });

  it('asks for the length by HEAD where Content-Range is hidden', async () => {
    const { url, seen } = await serve(ranged(file, true));
    const opened = await openSafetensors(urlSource(url));
    expect([...(await opened.readRange('b', 1, 2))]).toEqual([8]);
    expect(seen.map((request) => request.method).filter((method) => method === 'HEAD')).toHaveLength(1);
  });

  it('takes an empty file for too short', async () => {
    const { url } = await serve(ranged(new Uint8Array(0)));
    expect((await complaint(openSafetensors(urlSource(url)))).code).toBe('safetensors.tooShort');
  });

  it('refuses a file that changes its size', async () => {
    let body: Uint8Array = file;
    const { url } = await serve((request, response) => ranged(body)(request, response));
    const source = urlSource(url);
    await source.read(0, 8);
    body = file.subarray(0, 5000);
    expect((await complaint(source.read(0, 8))).code).toBe('safetensors.changed');
  });
});

describe('a server that ignores ranges', () => {
  it('is asked for the whole file once, and says so', async () => {
    const { url, seen } = await serve((_, response) =>
      response.writeHead(200, { 'Content-Length': file.length }).end(file),
    );
    const told: (number | undefined)[] = [];
    const opened = await openSafetensors(urlSource(url, { onWhole: (bytes) => told.push(bytes) }));
    expect([...(await opened.read('b'))]).toEqual([7, 8, 9]);
    expect(seen).toHaveLength(1);
    expect(told).toEqual([file.length]);
  });

  it('is refused where the file is larger than the limit', async () => {
    const { url } = await serve((_, response) => response.writeHead(200, { 'Content-Length': file.length }).end(file));
    expect((await complaint(openSafetensors(urlSource(url, { wholeLimit: 100 })))).code).toBe('safetensors.noRanges');
  });
});

describe('what may mend is tried again', () => {
  const answer = ranged(file);
  const failing = (
    failures: readonly ((response: Parameters<RequestListener>[1]) => void)[],
  ): ReturnType<typeof serve> => {
    const left = [...failures];
    return serve((request, response) => {
      const fail = request.headers.range?.startsWith('bytes=0-7') === true ? left.shift() : undefined;
      if (fail === undefined) answer(request, response);
      else fail(response);
    });
  };

  it('a busy server when it says, or soon; a connection that breaks', async () => {
    const { url } = await failing([
      (response) => response.writeHead(503, { 'Retry-After': '7' }).end(),
      (response) => response.writeHead(429).end('later'),
      (response) => response.destroy(),
    ]);
    const opened = await openSafetensors(urlSource(url, { pause }));
    expect([...(await opened.read('b'))]).toEqual([7, 8, 9]);
    expect(waits).toEqual([7000, 1000, 2000]);
  });

  it('not one that asks for more than a minute, not without end, not one that never answered', async () => {
    const long = await failing([(response) => response.writeHead(429, { 'Retry-After': '3600' }).end()]);
    expect((await complaint(openSafetensors(urlSource(long.url, { pause })))).message).toContain(
      'it asks to wait 3600 s',
    );
    expect(waits).toEqual([]);
    const busy = await serve((_, response) => response.writeHead(503).end());
    expect((await complaint(urlSource(busy.url, { pause }).size())).message).toContain('503');
    expect(waits).toEqual([500, 1000, 2000, 4000, 8000]);
    waits = [];
    await complaint(urlSource('http://127.0.0.1:1/x', { pause }).size());
    expect(waits).toEqual([]);
  });
});

describe('what goes wrong', () => {
  it.each([401, 404, 500])('status %d', async (status) => {
    const { url } = await serve((_, response) => response.writeHead(status).end());
    const { code, message } = await complaint(openSafetensors(urlSource(url, { pause })));
    expect(code).toBe('safetensors.http');
    expect(message).toContain(String(status));
  });

  it('no server, and a connection that breaks off', async () => {
    expect((await complaint(urlSource('http://127.0.0.1:1/x').size())).code).toBe('safetensors.unreadable');
    const { url } = await serve((_, response) => {
      response.writeHead(206, { 'Content-Length': 8, 'Content-Range': 'bytes 0-7/100' });
      response.write('abc', () => response.destroy());
    });
    expect((await complaint(urlSource(url, { pause }).read(0, 8))).code).toBe('safetensors.unreadable');
  });

  it('a server that sends fewer bytes than asked for', async () => {
    const { url } = await serve((_, response) =>
      response.writeHead(206, { 'Content-Range': 'bytes 0-7/100' }).end('abc'),
    );
    expect((await complaint(urlSource(url).read(0, 8))).code).toBe('safetensors.range');
  });

  it('a web page instead of the file', async () => {
    const { url } = await serve((_, response) =>
      response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>Log in</title>'),
    );
    const { code, message } = await complaint(openSafetensors(urlSource(url)));
    expect(code).toBe('safetensors.http');
    expect(message).toContain('a web page');
  });

  it('silence, before an answer and within one', async () => {
    const silent = await serve(() => undefined);
    expect((await complaint(urlSource(silent.url, { patience: 50 }).size())).message).toContain('within 0.05 s');
    server?.closeAllConnections();
    const { url } = await serve((_, response) => {
      response.writeHead(206, { 'Content-Length': 8, 'Content-Range': 'bytes 0-7/100' }).write('abc');
    });
    expect((await complaint(urlSource(url, { patience: 50, pause }).read(0, 8))).code).toBe('safetensors.unreadable');
    server?.closeAllConnections();
  });

  it('an endless body, and another range than asked for', async () => {
    const { url } = await serve((request, response) => {
      response.writeHead(request.headers.range === 'bytes=0-0' ? 206 : 200, { 'Content-Range': 'bytes 0-0/100' });
      const more = (): boolean => response.write(Buffer.alloc(65_536));
      response.on('drain', more);
      while (more());
    });
    expect((await complaint(urlSource(url, { wholeLimit: 1e6 }).read(0, 8))).code).toBe('safetensors.noRanges');
    server?.closeAllConnections();
    const other = await serve((_, response) =>
      response.writeHead(206, { 'Content-Range': 'bytes 4-11/100' }).end('abcdefgh'),
    );
    expect((await complaint(urlSource(other.url).read(0, 8))).message).toContain('those from 4 on');
  });
});

it('user and password go to the host of the address, and into no message', async () => {
  const { url, seen } = await serve((_, response) => response.writeHead(401).end());
  const { message } = await complaint(urlSource(url.replace('//', '//me:s3cret@') + '?sig=abc').size());
  expect(message).not.toMatch(/s3cret|abc/);
  expect(seen[0]?.headers.authorization).toBe(`Basic ${btoa('me:s3cret')}`);
  expect(seen[0]?.url).toContain('?sig=abc');
});
