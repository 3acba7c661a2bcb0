import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type * as Fflate from '../docs/node_modules/fflate';
import { chromium } from 'playwright-core';
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { browserEnvironment, chromiumArgs, findChromium } from '../scripts/lib/chromium.mjs';
import { cache, root } from '../scripts/lib/paths.mjs';
import type { StaticSite } from './helpers/staticSite.js';
import { serveSite } from './helpers/staticSite.js';

// The playground out of the built site, on a server that sends no headers, as a person goes through it. Screenshots,
// for a person to look at, lie in the cache folder.
const site = join(root, 'docs/.vitepress/dist');
const pictures = join(cache, 'playground');
const scratch = mkdtempSync(join(tmpdir(), 'playground-'));
const minute = 60_000;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const { unzipSync } = createRequire(join(root, 'docs/package.json'))('fflate') as typeof Fflate;
let server: StaticSite;
let browser: Browser;

beforeAll(async () => {
  mkdirSync(pictures, { recursive: true });
  server = await serveSite(site);
  const found = await findChromium();
  browser = await chromium.launch({
    executablePath: found.path,
    args: chromiumArgs,
    env: browserEnvironment(found.env),
  });
}, minute);

afterAll(async () => {
  await browser?.close();
  await server?.close();
  rmSync(scratch, { recursive: true, force: true });
});

interface Visit {
  readonly context: BrowserContext;
  readonly page: Page;
  /** What the console says that is no message. */
  readonly problems: string[];
}

async function visit(options: BrowserContextOptions = {}, place = 'playground/'): Promise<Visit> {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 900 },
    acceptDownloads: true,
    locale: 'en-US',
    ...options,
  });
  return { context, ...(await open(context, place)) };
}

async function open(context: BrowserContext, place = 'playground/'): Promise<Omit<Visit, 'context'>> {
  const page = await context.newPage();
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && problems.push(message.text()));
  await page.goto(server.address + place);
  // The service worker gives the headers, with which the page loads a second time.
  await page.waitForFunction(() => crossOriginIsolated);
  if (place === 'playground/') await page.waitForSelector('.table textarea');
  return { page, problems };
}

const button = (page: Page, name: string): ReturnType<Page['getByRole']> =>
  page.getByRole('button', { name, exact: true });

async function fill(page: Page, values: Readonly<Record<string, string>>): Promise<void> {
  await page.evaluate(() => document.querySelectorAll('details').forEach((one) => (one.open = true)));
  for (const [label, value] of Object.entries(values))
    await page.getByLabel(label, { exact: true }).first().fill(value);
}

async function untilStatus(page: Page, wanted: RegExp, timeout = minute): Promise<void> {
  await page.waitForFunction(
    (source) => new RegExp(source).test(document.querySelector('.run .status')?.textContent ?? ''),
    wanted.source,
    { timeout },
  );
}

const untilStep = (page: Page, step: number): Promise<unknown> =>
  page.waitForFunction(
    (wanted) => Number(/Step\s*(\d+)/.exec(document.querySelector('.figures')?.textContent ?? '')?.[1] ?? 0) >= wanted,
    step,
    { timeout: minute },
  );

interface KeptRun {
  readonly lines: readonly { readonly step: number; readonly loss?: number; readonly eval_loss?: number }[];
  readonly held: readonly object[];
}

/** The run as the page has kept it. */
const keptRun = (page: Page): Promise<KeptRun> =>
  page.evaluate(
    () =>
      new Promise<KeptRun>((resolve, reject) => {
        const opening = indexedDB.open('lowrank-playground');
        opening.onerror = () => reject(new Error('no database'));
        opening.onsuccess = () => {
          const reading = opening.result.transaction('kept').objectStore('kept').get('run') as IDBRequest<KeptRun>;
          reading.onsuccess = () => resolve({ lines: reading.result.lines, held: reading.result.held });
        };
      }),
  );

const lossesOf = ({ lines }: KeptRun): number[] => lines.flatMap(({ loss }) => loss ?? []);
const heldOf = ({ lines }: KeptRun): number[] => lines.flatMap(({ eval_loss: loss }) => loss ?? []);

/** Serious faults, as axe finds them in what is shown. */
async function faultsOfAccess(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  return page.evaluate(async () => {
    const { axe: tool } = globalThis as unknown as { axe: { run(place: Element): Promise<AxeResult> } };
    interface AxeResult {
      violations: { id: string; impact: string; nodes: { html: string }[] }[];
    }
    const place = document.querySelector('.playground') ?? document.body;
    const { violations } = await tool.run(place);
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(' ')}`);
  });
}

const picture = (page: Page, name: string): Promise<unknown> =>
  page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });

test(
  'a first visit paints within a second, with less than 300 kB before a model is chosen, and says what it sends',
  async () => {
    const { page, context, problems } = await visit();
    const { paint, loaded } = await page.evaluate(() => ({
      paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime,
      loaded: performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname),
    }));
    expect(paint).toBeLessThan(1000);
    const bytes = [...new Set([...loaded, '/playground/index.html'])]
      .filter((path) => /\.(js|css|html|woff2)$/.test(path) && path !== '/sw.js')
      .reduce((sum, path) => sum + gzipSync(readFileSync(join(site, path))).length, 0);
    expect(bytes).toBeGreaterThan(50_000);
    expect(bytes).toBeLessThanOrEqual(300_000);
    expect(loaded.some((path) => path.endsWith('.safetensors'))).toBe(false);
    await page.waitForFunction(() => /offline/.test(document.querySelector('.privacy summary')?.textContent ?? ''));
    expect(await page.textContent('.privacy summary')).toMatch(/Nothing leaves this device:\s+0 bytes\s+sent/);
    const outcome = await page.evaluate(() =>
      fetch('https://elsewhere.test/').then(
        () => 'sent',
        (error: unknown) => String(error),
      ),
    );
    expect(outcome).toMatch(/TypeError/);
    expect(problems.splice(0).join()).toMatch(/Content Security Policy/);
    expect(await faultsOfAccess(page)).toEqual([]);
    await picture(page, 'idle');
    expect(problems).toEqual([]);
    await context.close();
  },
  minute,
);

test(
  'on the CPU it trains, goes on after a reload with the same losses, answers, and gives a zip that evaluates the same',
  async () => {
    const { page, context, problems } = await visit();
    await page.selectOption('#device', 'cpu');
    await fill(page, { Steps: '60', 'Measure every': '20', 'Tokens it writes': '24' });
    await button(page, 'Train').click();
    await untilStep(page, 25);
    await page.reload();
    await untilStatus(page, /rests after step (1\d|2\d|3\d) of 60/);
    await button(page, 'Resume').click();
    await untilStatus(page, /is done: 60 steps/);
    const resumed = await keptRun(page);
    expect(await page.locator('.samples figure pre').allTextContents()).toHaveLength(3);
    const [before, after] = await page.locator('.samples figure pre').allTextContents();
    expect(after).not.toBe(before);
    expect(heldOf(resumed)).toHaveLength(4);
    expect(heldOf(resumed).at(-1)).toBeLessThan(0.1 * (heldOf(resumed)[0] ?? 0));

    await button(page, 'Ask').click();
    await page.waitForFunction(() => !document.querySelector('.exchanges[aria-busy="true"]'));
    const answers = (): Promise<string[]> => page.locator('.exchanges pre').allTextContents();
    const [base, tuned] = await answers();
    expect(tuned).toMatch(/\{ owner/);
    expect(base).not.toBe(tuned);
    await page.getByLabel('Strength').fill('0');
    await button(page, 'Ask').click();
    await page.waitForFunction(() => !document.querySelector('.exchanges[aria-busy="true"]'));
    expect(await answers()).toEqual([base, base]);
    await page.getByLabel('Strength').fill('1');
    await button(page, 'Look inside').click();
    await page.waitForSelector('.spectrum svg');
    expect(await page.textContent('.spectrum')).toMatch(/95% of ‖ΔW‖² lies in \d+ of 16 directions/);
    expect(await faultsOfAccess(page)).toEqual([]);
    await picture(page, 'done');

    const [download] = await Promise.all([page.waitForEvent('download'), button(page, 'PEFT zip').click()]);
    const zip = join(scratch, 'adapter.zip');
    await download.saveAs(zip);
    expect(evaluated(zip, resumed.held)).toBeCloseTo(heldOf(resumed).at(-1) ?? NaN, 4);

    // The same run without a reload.
    await button(page, 'Train again').click();
    await untilStatus(page, /is done: 60 steps/);
    const whole = await keptRun(page);
    expect(lossesOf(whole)).toHaveLength(60);
    for (const [at, loss] of lossesOf(whole).entries())
      expect(Math.abs(loss - (lossesOf(resumed)[at] ?? NaN))).toBeLessThan(1e-6);
    expect(problems).toEqual([]);
    await context.close();
  },
  3 * minute,
);

/** What `lowrank eval` says of an adapter in a zip, over rows. */
function evaluated(zip: string, rows: readonly object[]): number {
  const folder = join(scratch, 'adapter');
  const data = join(scratch, 'held.jsonl');
  mkdirSync(folder);
  for (const [name, bytes] of Object.entries(unzipSync(readFileSync(zip)))) writeFileSync(join(folder, name), bytes);
  writeFileSync(data, rows.map((row) => JSON.stringify(row)).join('\n'));
  const args = ['--model', 'examples/demo/base', '--adapter', folder, '--data', data, '--max-length', '128'];
  const printed = execFileSync(
    process.execPath,
    ['packages/lowrank/dist/cli.js', 'eval', ...args, '--device', 'cpu', '--json'],
    { cwd: root, encoding: 'utf8' },
  );
  return (JSON.parse(printed.trim().split('\n').at(-1) ?? '{}') as { loss: number }).loss;
}
