import { existsSync, readFileSync, statSync } from 'node:fs';
import { extname, join, normalize } from 'node:path';
import { loopback } from './loopback';

export interface FolderServer extends AsyncDisposable {
  readonly url: string;
  /** The files that were asked for, by path. */
  readonly sent: ReadonlyMap<string, Uint8Array>;
}

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
};

/** Serves folders as any web server does, by the beginning of a path: the longest that fits. */
export async function folderServer(folders: Readonly<Record<string, string>>): Promise<FolderServer> {
  const sent = new Map<string, Uint8Array>();
  const prefixes = Object.keys(folders).sort((a, b) => b.length - a.length);
  const { url, [Symbol.asyncDispose]: dispose } = await loopback((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? '/', 'http://x').pathname));
    const prefix = prefixes.find((one) => path.startsWith(one)) ?? '/';
    let file = join(folders[prefix] ?? '', path.slice(prefix.length));
    if (existsSync(file) && statSync(file).isDirectory()) file = join(file, 'index.html');
    if (!existsSync(file)) {
      response.writeHead(404, { 'Content-Type': 'text/plain' }).end('not found');
      return;
    }
    const bytes = readFileSync(file);
    sent.set(path, bytes);
    const type = types[extname(file)] ?? 'application/octet-stream';
    response.writeHead(200, { 'Content-Type': type, 'Content-Length': bytes.length, 'Cache-Control': 'no-store' });
    response.end(request.method === 'HEAD' ? undefined : bytes);
  });
  return { url: `${url}/`, sent, [Symbol.asyncDispose]: dispose };
}
