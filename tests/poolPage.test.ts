import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import type { Browser } from 'playwright-core';
import type { PreviewServer } from 'vite';
import { build, preview } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { browserEnvironment, chromiumArgs, findChromium } from '../scripts/lib/chromium.mjs';
import { packageAlias } from '../scripts/lib/packageAlias.mjs';

// The CPU backend's threads in a page that may share memory with them.
const folder = mkdtempSync(join(tmpdir(), 'pool-page-'));
const headers = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };
let server: PreviewServer;
let browser: Browser;

const source = `
import { createCpuBackend } from '@lowrank/cpu';
import { compile, mul } from '@lowrank/tensor';

window.begin = async () => {
  const backend = await createCpuBackend({ threads: 2 });
  const { control, workers } = backend.pool;
  for (let tries = 0; control.words[11] === 0 && tries < 1000; tries++) await new Promise((go) => setTimeout(go, 10));
  const squares = compile(backend, ({ x }) => ({ y: mul(x, x) }));
  const run = async () => {
    const data = Float32Array.from({ length: 70000 }, (_, at) => at % 7);
    const { y } = await squares.run({ x: { data, shape: [70000] } });
    return [...(await y).slice(0, 7)];
  };
  return { backend, control, workers, run };
};
`;

beforeAll(async () => {
  writeFileSync(join(folder, 'index.html'), '<!doctype html><script type="module" src="./main.ts"></script>');
  writeFileSync(join(folder, 'main.ts'), source);
  const page = { root: folder, configFile: false as const, logLevel: 'error' as const };
  await build({ ...page, resolve: { alias: packageAlias('src') } });
  server = await preview({ ...page, preview: { port: 0, host: '127.0.0.1', headers } });
  const found = await findChromium();
  const env = browserEnvironment(found.env);
  browser = await chromium.launch({ executablePath: found.path, args: chromiumArgs, env });
}, 120_000);

afterAll(async () => {
  await browser?.close();
  await server?.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Begun {
  readonly backend: { description: string; finish(): Promise<void> };
  readonly control: { readonly words: Int32Array };
  readonly workers: readonly { terminate(): void }[];
  readonly run: () => Promise<number[]>;
}

test('a page’s threads compute, and one that the browser ends in mid-run is an error and no endless wait', async () => {
  const page = await browser.newPage();
  await page.goto(server.resolvedUrls?.local[0] ?? '');
  await page.waitForFunction(() => 'begin' in window);
  const found = await page.evaluate(async () => {
    const begun = await (window as unknown as { begin(): Promise<Begun> }).begin();
    const { backend, control, workers, run } = begun;
    const squares = await run();
    const started = control.words[11];
    // A worker stands still for a while, and is waited for.
    Atomics.add(control.words, 2, 1);
    setTimeout(() => Atomics.sub(control.words, 2, 1), 100);
    const late = await run();
    // One has entered, and never leaves.
    Atomics.add(control.words, 2, 1);
    workers[0]?.terminate();
    const codeOf = (error: unknown): string[] => {
      const { code, got } = error as { code: string; got: string };
      return [code, got];
    };
    const lost = await run().then(() => [], codeOf);
    const after = await backend.finish().then(() => [], codeOf);
    return { isolated: crossOriginIsolated, description: backend.description, squares, started, late, lost, after };
  });
  const error = ['cpu.threadLost', 'the browser ended it'];
  expect(found).toEqual({
    isolated: true,
    description: expect.stringContaining('2 threads') as string,
    squares: [0, 1, 4, 9, 16, 25, 36],
    started: 1,
    late: [0, 1, 4, 9, 16, 25, 36],
    lost: error,
    after: error,
  });
  await page.close();
});
