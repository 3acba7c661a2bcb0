import { createReadStream, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { chromium } from 'playwright-core';
import { build } from 'vite';
import { browserEnvironment, chromiumArgs, findChromium } from '../../scripts/lib/chromium.mjs';
import { packageAlias } from '../../scripts/lib/packageAlias.mjs';
import { root } from '../../scripts/lib/paths.mjs';

/** A name for this machine that is no secure origin: browsers give it no storage of files. */
const insecure = 'lowrank.test';

/** @type {Readonly<Record<string, string>>} */
const types = { '.html': 'text/html', '.js': 'text/javascript', '.json': 'application/json' };

/** Cross-origin isolation: without it no memory is shared, and the CPU backend has one thread. */
const isolation = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };

/**
 * A browser of its own whose storage lies on disk, and a server with the page of `tests/helpers/tab` (out of the built
 * packages) and folders of models.
 *
 * @param {Readonly<Record<string, string>>} models folders that are served as `/models/NAME/`
 */
export async function launchTabs(models) {
  const folder = mkdtempSync(join(tmpdir(), 'lowrank-tab-'));
  const outDir = join(folder, 'page');
  await build({
    root: join(root, 'tests/helpers/tab'),
    configFile: false,
    base: './',
    logLevel: 'error',
    resolve: { alias: packageAlias('dist') },
    build: { outDir, emptyOutDir: true, target: 'es2022', minify: false },
    worker: { format: 'es' },
  });
  /** Bytes of each file of a model that the server has sent. @type {Map<string, number>} */
  const sent = new Map();
  const server = createServer((request, response) => answer(request, response, { outDir, models, sent }));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const found = await findChromium();
  const context = await chromium.launchPersistentContext(join(folder, 'profile'), {
    executablePath: found.path,
    // Chromium tells every page of 10 GiB, whatever the quota is, unless this is off.
    args: [...chromiumArgs, `--host-resolver-rules=MAP ${insecure} 127.0.0.1`, '--disable-features=StaticStorageQuota'],
    env: browserEnvironment(found.env),
  });
  const url = `http://127.0.0.1:${port}`;
  return {
    context,
    sent,
    url,
    insecureUrl: `http://${insecure}:${port}`,
    /** A page that has loaded. */
    async page(at = url) {
      const page = await context.newPage();
      await page.goto(`${at}/index.html`);
      await page.waitForFunction(() => 'startWorker' in globalThis);
      return page;
    },
    async close() {
      await context.close();
      server.closeAllConnections();
      server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/**
 * A worker of the page, with what `tests/helpers/tab/worker.ts` gives it.
 *
 * @param {import('playwright-core').Page} page
 */
export async function workerOf(page) {
  const started = page.waitForEvent('worker');
  await page.evaluate(() =>
    /** @type {{ startWorker(): Promise<void> }} */ (/** @type {unknown} */ (globalThis)).startWorker(),
  );
  return started;
}

/** The processes that render pages of browsers which this process has started, the largest first. */
export function renderers() {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const [stat, command] = [textOf(`/proc/${name}/stat`), textOf(`/proc/${name}/cmdline`)];
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      return stat === '' ? [] : [{ pid: Number(name), parent, command }];
    });
  /** @param {number} pid @returns {typeof all} */
  const below = (pid) => all.filter(({ parent }) => parent === pid).flatMap((each) => [each, ...below(each.pid)]);
  return below(process.pid)
    .filter(({ command }) => command.includes('--type=renderer'))
    .map(({ pid }) => ({ pid, bytes: proportionalBytes(pid) }))
    .sort((a, b) => b.bytes - a.bytes);
}

/**
 * Memory of a process (Linux), what it shares with others counted by its share.
 *
 * @param {number} pid
 */
function proportionalBytes(pid) {
  return 1024 * Number(/^Pss:\s+(\d+)/m.exec(textOf(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0);
}

/** @param {string} path */
function textOf(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // The process has ended.
    return '';
  }
}

/**
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:http').ServerResponse} response
 * @param {{ outDir: string, models: Readonly<Record<string, string>>, sent: Map<string, number> }} served
 */
function answer(request, response, { outDir, models, sent }) {
  const { pathname } = new URL(request.url ?? '/', 'http://tab');
  const [, first = '', name = '', ...rest] = normalize(decodeURIComponent(pathname)).split('/');
  const path = first === 'models' ? join(models[name] ?? '/nowhere', ...rest) : join(outDir, first, name, ...rest);
  if (!existsSync(path) || !statSync(path).isFile()) return void response.writeHead(404, isolation).end();
  const { size, mtimeMs } = statSync(path);
  const range = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '');
  const start = Number(range?.[1] ?? 0);
  const end = Math.min(size - 1, Number(range?.[2] || size - 1));
  response.writeHead(range === null ? 200 : 206, {
    ...isolation,
    'Content-Type': types[extname(path)] ?? 'application/octet-stream',
    'Content-Length': Math.max(0, end - start + 1),
    ETag: `"${size}-${mtimeMs}"`,
    ...(range !== null && { 'Content-Range': `bytes ${start}-${end}/${size}` }),
  });
  if (request.method === 'HEAD' || size === 0) return void response.end();
  const file = rest.join('/');
  createReadStream(path, { start, end })
    .on('data', (chunk) => sent.set(file, (sent.get(file) ?? 0) + chunk.length))
    .pipe(response);
}
