import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { browserEnvironment, chromiumArgs, findChromium } from '../../scripts/lib/chromium.mjs';
import { root } from '../../scripts/lib/paths.mjs';
import { folderServer } from '../helpers/folderServer';
import { trainedInNode } from './trained';

// A page of a few lines over the packed packages: built by each bundler as its manual begins, without a plugin, a
// polyfill or a warning, and run in Chromium, where it has to train as Node does, in the page and through
// `lowrank/worker`, from a model and into a run of `lowrank/storage`.
const tools = inject('tools');
const project = inject('project');
const minutes = 60_000;
let browser: Browser;

beforeAll(async () => {
  const found = await findChromium();
  browser = await chromium.launch({
    executablePath: found.path,
    args: chromiumArgs,
    env: browserEnvironment(found.env),
  });
});
afterAll(() => browser?.close());

interface Bundler {
  /** Its page's sources beside those of all. */
  readonly from?: string | undefined;
  readonly command: (output: string) => readonly string[];
  readonly isScript?: boolean;
  /** Where the page lies then. */
  readonly output?: string;
}

const script = (name: string): Bundler => ({
  isScript: true,
  command: (output: string) => [join(root, 'tests/packages/bundle.mjs'), name, output],
});
const bin = (name: string): string => join(tools, 'node_modules', name);
const parcel = (from: string | undefined, ...more: string[]): Bundler => ({
  from,
  command: (output) => [
    bin('parcel/lib/bin.js'),
    'build',
    'index.html',
    '--dist-dir',
    output,
    '--no-cache',
    '--no-source-maps',
    '--log-level',
    'warn',
    ...more,
  ],
});
const bundlers: Readonly<Record<string, Bundler>> = {
  esbuild: script('esbuild'),
  webpack: script('webpack'),
  rollup: script('rollup'),
  vite: script('vite'),
  parcel: parcel('plain'),
  // It leaves what page and worker share out of the worker when it hoists scopes.
  'parcel with a worker': parcel(undefined, '--no-scope-hoist'),
  'next with webpack': {
    from: 'next',
    output: 'out',
    command: () => [bin('next/dist/bin/next'), 'build', '--webpack'],
  },
  'next with Turbopack': { from: 'next', output: 'out', command: () => [bin('next/dist/bin/next'), 'build'] },
};

/** What a bundler says, and its page. */
async function bundle(
  name: string,
  { from, command, output = 'dist' }: Bundler,
): Promise<{ said: string; page: string }> {
  // Below the project, whose node_modules it finds, and in a folder of its own, as bundlers leave files.
  const folder = join(project, name.replaceAll(' ', '-'));
  mkdirSync(folder, { recursive: true });
  cpSync(join(root, 'tests/packages/app'), folder, { recursive: true });
  if (from !== undefined) cpSync(join(root, 'tests/packages', from), folder, { recursive: true });
  const page = join(folder, output);
  const env = { ...process.env, NO_COLOR: '1', CI: '', NEXT_TELEMETRY_DISABLED: '1', NODE_ENV: 'production' };
  const said = await new Promise<string>((resolve, reject) => {
    const child = spawn(process.execPath, command(page), { cwd: folder, env });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (text += String(chunk)));
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve(text) : reject(new Error(`exit code ${code}\n${text}`))));
  });
  return { said, page };
}

/** Opens a page of the folder, and waits for its result. */
async function runPage(
  folder: string,
): Promise<{ result: unknown; problems: string[]; sent: ReadonlyMap<string, Uint8Array> }> {
  await using server = await folderServer({ '/': folder, '/model/': join(root, 'parity/golden/llama/tied') });
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    const problems: string[] = [];
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('console', (message) => ['error', 'warning'].includes(message.type()) && problems.push(message.text()));
    await page.goto(server.url);
    const handle = await page.waitForFunction(() => (globalThis as { result?: unknown }).result, undefined, {
      timeout: 2 * minutes,
    });
    return { result: await handle.jsonValue(), problems, sent: server.sent };
  } finally {
    await context.close();
  }
}

describe.each(Object.entries(bundlers))('%s', (name, bundler) => {
  test(
    'builds the page without a word, and it trains as in Node',
    async () => {
      const { said, page } = await bundle(name, bundler);
      expect(said).not.toMatch(/warn|⚠|deprecat|polyfill/i);
      // The script's last line is its warnings.
      if (bundler.isScript === true) expect(said.trim().split('\n').at(-1)).toBe('[]');
      const { result, problems } = await runPage(page);
      expect(problems).toEqual([]);
      const { losses, text } = trainedInNode(project);
      const same = { text, losses: losses.map((loss) => expect.closeTo(loss, 4) as number) };
      const runs = [{ id: 'first', status: 'finished', step: 4 }];
      expect(result).toEqual(bundler.from === 'plain' ? { inPage: same } : { inPage: same, inWorker: same, runs });
      expect(readdirSync(page).length).toBeGreaterThan(0);
      rmSync(page, { recursive: true });
    },
    4 * minutes,
  );
});
