// Trains in Firefox: `node scripts/firefox.mjs [firefox]`, after `pnpm build`, with Node 22 or later. The page of the
// bundlers' test (tests/packages/app), built by Vite, in the page and through a worker from the browser's storage;
// its losses have to be Node's. By hand, since no test run installs a Firefox.
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, preview } from 'vite';
import { root } from './lib/paths.mjs';

const app = join(root, 'tests/packages/app');
const golden = join(root, 'parity/golden/llama/tied');
const program = process.argv[2] ?? 'firefox';
if (!('WebSocket' in globalThis)) throw new Error(`Node ${process.version} has no WebSocket: expected 22 or later`);

/** @param {string} folder where the page goes */
async function buildPage(folder) {
  await build({
    configFile: false,
    root: app,
    logLevel: 'error',
    // The workspace's own: the page lies outside of every package that has it.
    plugins: [
      {
        name: 'lowrank',
        enforce: 'pre',
        resolveId(id) {
          if (!/^lowrank(\/|$)/.test(id)) return undefined;
          return this.resolve(id, join(root, 'examples/web/package.json'), { skipSelf: true });
        },
      },
    ],
    build: { outDir: folder, emptyOutDir: true, target: 'es2022' },
    worker: { format: 'es' },
  });
  cpSync(golden, join(folder, 'model'), { recursive: true });
}

/** The same lines in this Node. */
async function trainedInNode() {
  const lowrank = pathToFileURL(join(root, 'packages/lowrank/dist/index.js')).href;
  const code = readFileSync(join(app, 'main.js'), 'utf8').replace("'lowrank'", JSON.stringify(lowrank));
  const { main } = await import(`data:text/javascript,${encodeURIComponent(code)}`);
  return main(golden);
}

/** A session of WebDriver BiDi with a new Firefox. @param {string} profile */
async function openFirefox(profile) {
  const options = ['--headless', '--no-remote', '--profile', profile, '--remote-debugging-port', '0', 'about:blank'];
  const child = spawn(program, options, { stdio: ['ignore', 'ignore', 'pipe'] });
  const address = await new Promise((resolve, reject) => {
    let said = '';
    child.stderr.on('data', (piece) => {
      said += String(piece);
      const found = /WebDriver BiDi listening on (ws:\S+)/.exec(said)?.[1];
      if (found !== undefined) resolve(found);
    });
    child.on('error', reject);
    child.on('close', () => reject(new Error(said)));
  });
  const socket = new WebSocket(`${address}/session`);
  await new Promise((resolve) => socket.addEventListener('open', resolve));
  const waiting = new Map();
  socket.addEventListener('message', ({ data }) => {
    const { id, type, result, message } = JSON.parse(String(data));
    if (type === 'error') waiting.get(id)?.reject(new Error(message));
    else waiting.get(id)?.resolve(result);
  });
  let last = 0;
  /** @param {string} method @param {object} params @returns {Promise<any>} */
  const send = (method, params = {}) =>
    new Promise((resolve, reject) => {
      waiting.set(++last, { resolve, reject });
      socket.send(JSON.stringify({ id: last, method, params }));
    });
  const { capabilities } = await send('session.new', { capabilities: {} });
  return { send, version: capabilities.browserVersion, close: () => child.kill() };
}

const work = mkdtempSync(join(tmpdir(), 'lowrank-firefox-'));
const page = join(work, 'page');
await buildPage(page);
const headers = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };
const server = await preview({
  configFile: false,
  root: app,
  build: { outDir: page },
  preview: { port: 0, headers },
});
const firefox = await openFirefox(mkdtempSync(join(work, 'profile-')));
let failed = true;
try {
  const { contexts } = await firefox.send('browsingContext.getTree');
  const [{ context }] = contexts;
  await firefox.send('browsingContext.navigate', { context, url: server.resolvedUrls?.local[0], wait: 'complete' });
  /** @param {string} expression */
  const evaluate = async (expression) => {
    const { result } = await firefox.send('script.evaluate', { expression, target: { context }, awaitPromise: true });
    return result.value;
  };
  console.log(`Firefox ${firefox.version}; isolated: ${await evaluate('crossOriginIsolated')}`);
  console.log(
    `WebGPU: ${await evaluate('navigator.gpu?.requestAdapter().then((gpu) => gpu?.info.description || !!gpu)')}`,
  );
  const wait =
    'new Promise((resolve) => { const look = () => ' +
    'globalThis.result ? resolve(JSON.stringify(result)) : setTimeout(look, 100); look(); })';
  const { inPage, inWorker, runs, error } = JSON.parse(await evaluate(wait));
  // It saves its adapter where it runs.
  process.chdir(work);
  const expected = await trainedInNode();
  console.log({ Node: expected, inPage, inWorker, runs, error });
  /** @param {{ losses: number[], text: string } | undefined} got */
  const isSame = (got) =>
    got?.text === expected.text &&
    got?.losses.length === expected.losses.length &&
    got.losses.every((loss, at) => Math.abs(loss - (expected.losses[at] ?? NaN)) < 1e-4);
  failed = !isSame(inPage) || !isSame(inWorker);
  console.log(failed ? 'not the same as in Node' : 'the same as in Node');
} finally {
  firefox.close();
  await server.close();
  process.chdir(root);
  rmSync(work, { recursive: true, force: true, maxRetries: 5 });
}
process.exit(failed ? 1 : 0);
