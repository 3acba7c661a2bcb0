import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { chromium } from 'playwright-core';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { browserEnvironment, chromiumArgs, findChromium } from '../../scripts/lib/chromium.mjs';
import { root } from '../../scripts/lib/paths.mjs';
import { fencedBlocks } from '../docs/pageFiles';
import type { HubServer } from '../helpers/hubServer';
import { hubServer } from '../helpers/hubServer';
import type { Loopback } from '../helpers/loopback';
import { packageRegistry } from '../helpers/packageRegistry';

// The pages of the site that begin in an empty folder, followed word for word: every file is saved, every command
// typed. A registry on this machine has the packed packages, a hub on this machine the model under the name that the
// pages use.
const work = mkdtempSync(join(tmpdir(), 'lowrank-start-'));
const golden = join(root, 'parity/golden/llama/tied');
let registry: Loopback;
let hub: HubServer;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  registry = await packageRegistry(join(inject('project'), 'tarballs'));
  const files = readdirSync(golden).map((name) => [name, new Uint8Array(readFileSync(join(golden, name)))] as const);
  hub = await hubServer(Object.fromEntries(files), 'HuggingFaceTB/SmolLM2-135M-Instruct');
  env = {
    ...process.env,
    PATH: [join(root, 'node_modules/.bin'), process.env.PATH].join(delimiter),
    HF_ENDPOINT: hub.url,
    HF_HOME: join(work, 'hub'),
    npm_config_registry: registry.url,
    npm_config_prefer_offline: 'true',
    npm_config_audit: 'false',
    npm_config_fund: 'false',
    BUN_CONFIG_REGISTRY: registry.url,
    NPM_CONFIG_REGISTRY: registry.url,
    DENO_DIR: join(work, 'deno'),
    DENO_NO_UPDATE_CHECK: '1',
    NO_COLOR: '1',
  };
});
afterAll(async () => {
  await registry?.[Symbol.asyncDispose]();
  await hub?.[Symbol.asyncDispose]();
  rmSync(work, { recursive: true, force: true, maxRetries: 3 });
});

interface Step {
  /** The file that the page says to save, or undefined for commands to type. */
  readonly file: string | undefined;
  readonly code: string;
}

/** What a page says to do, in order. */
function stepsOf(name: string): Step[] {
  return fencedBlocks(`docs/start/${name}.md`).map(({ before, code }) => ({
    file: /[Ss]ave this as\s+`([\w.]+)`:\s*$/.exec(before)?.[1],
    code,
  }));
}

/** Types commands into a shell; resolves with what they wrote, or rejects with it where one fails. */
function typed(code: string, cwd: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const shell = spawn('bash', ['-e', '-c', code], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    for (const stream of [shell.stdout, shell.stderr]) stream.on('data', (piece: Buffer) => (said += piece.toString()));
    shell.on('close', (status) => (status === 0 ? resolve(said) : reject(new Error(`${code}\n${said}`))));
  });
}

/** Follows a page in a folder of its own, up to a command that does not end by itself. */
async function follow(name: string, forever?: RegExp): Promise<{ folder: string; said: string }> {
  const folder = mkdtempSync(join(work, `${name}-`));
  let said = '';
  for (const { file, code } of stepsOf(name)) {
    if (file !== undefined) writeFileSync(join(folder, file), code);
    else if (forever?.test(code) !== true) said += await typed(code, folder);
  }
  return { folder, said };
}

const expectTrained = (folder: string, adapter: string): void => {
  const config = JSON.parse(readFileSync(join(folder, adapter, 'adapter_config.json'), 'utf8')) as object;
  expect(config).toMatchObject({ peft_type: 'LORA', base_model_name_or_path: 'HuggingFaceTB/SmolLM2-135M-Instruct' });
};

test('in Node: the command line, then a program', async () => {
  const { folder, said } = await follow('node');
  expectTrained(folder, 'adapter');
  expectTrained(folder, 'fromProgram');
  expect([...said.matchAll(/^\d+ \d+\.\d{4}$/gm)]).toHaveLength(20);
}, 240_000);

test('in Deno', async () => {
  const { folder, said } = await follow('deno');
  expectTrained(folder, 'adapter');
  expect([...said.matchAll(/^\d+ \d+\.\d{4}$/gm)]).toHaveLength(20);
}, 240_000);

test('in Bun', async () => {
  const { folder, said } = await follow('bun');
  expectTrained(folder, 'adapter');
  expect([...said.matchAll(/^\d+ \d+\.\d{4}$/gm)]).toHaveLength(20);
}, 240_000);

/** A server that runs until it is told to end, and the address that it prints. */
function served(code: string, cwd: string): Promise<{ address: string; server: ChildProcess }> {
  return new Promise((resolve, reject) => {
    // A group of its own: npx starts the server as a process below its own.
    const server = spawn('bash', ['-c', code], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    let said = '';
    for (const stream of [server.stdout, server.stderr])
      stream.on('data', (piece: Buffer) => {
        said += piece.toString();
        const address = /http:\/\/localhost:\d+\//.exec(said)?.[0];
        if (address !== undefined) resolve({ address, server });
      });
    server.on('close', () => reject(new Error(`${code}\n${said}`)));
  });
}

/** The hub's address in a page is the real one: what is asked of it comes from this machine. */
async function answerFromHub(page: Page): Promise<void> {
  await page.route('https://huggingface.co/**', async (route) => {
    const { pathname, search } = new URL(route.request().url());
    const answer = await fetch(`${hub.url}${pathname}${search}`, { headers: route.request().headers() });
    await route.fulfill({
      status: answer.status,
      headers: { ...Object.fromEntries(answer.headers), 'cross-origin-resource-policy': 'cross-origin' },
      body: Buffer.from(await answer.arrayBuffer()),
    });
  });
}

test('in the browser: the page trains when its button is pressed', async () => {
  const { folder } = await follow('browser', /^npx vite$/m);
  const { address, server } = await served('npx vite', folder);
  const found = await findChromium();
  const options = { executablePath: found.path, args: chromiumArgs, env: browserEnvironment(found.env) };
  const browser = await chromium.launch(options);
  try {
    const page = await browser.newPage();
    await answerFromHub(page);
    await page.goto(address);
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
    await page.getByRole('button', { name: 'Teach it' }).click();
    await page.getByText('Trained in this tab.').waitFor({ timeout: 120_000 });
    expect(await page.textContent('#answer')).not.toBe('');
  } finally {
    await browser.close();
    const ended = new Promise((resolve) => server.once('close', resolve));
    process.kill(-(server.pid ?? 0));
    await ended;
  }
}, 240_000);
