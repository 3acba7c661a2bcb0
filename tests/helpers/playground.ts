import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll } from 'vitest';
import { browserEnvironment, chromiumArgs, findChromium } from '../../scripts/lib/chromium.mjs';
import { cache, root } from '../../scripts/lib/paths.mjs';
import type { StaticSite } from './staticSite.js';
import { serveSite } from './staticSite.js';

// The playground out of the built site, on a server that sends no headers, as a person goes through it. Screenshots,
// for a person to look at, lie in the cache folder.
export const site = join(root, 'docs/.vitepress/dist');
const pictures = join(cache, 'playground');
export const minute = 60_000;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** The site, a browser and a folder of a test file; there from its first test to its last. */
export interface Stage {
  browser: Browser;
  server: StaticSite;
  scratch: string;
}

/** @param extra arguments of the browser, known when it starts */
export function stage(extra: () => readonly string[] | Promise<readonly string[]> = () => []): Stage {
  const there = {} as Stage;
  beforeAll(async () => {
    mkdirSync(pictures, { recursive: true });
    there.scratch = mkdtempSync(join(tmpdir(), 'playground-'));
    there.server = await serveSite(site);
    const found = await findChromium();
    there.browser = await chromium.launch({
      executablePath: found.path,
      args: [...chromiumArgs, ...(await extra())],
      env: browserEnvironment(found.env),
    });
  }, minute);
  afterAll(async () => {
    await there.browser?.close();
    await there.server?.close();
    rmSync(there.scratch, { recursive: true, force: true });
  });
  return there;
}

export interface Visit {
  readonly context: BrowserContext;
  readonly page: Page;
  /** What the console says that is no message. */
  readonly problems: string[];
}

export async function visit(
  { browser, server }: Stage,
  options: BrowserContextOptions = {},
  place = 'playground/',
): Promise<Visit> {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 900 },
    acceptDownloads: true,
    locale: 'en-US',
    ...options,
  });
  return { context, ...(await open(context, server.address + place)) };
}

/** Another tab of a visit. */
export async function open(context: BrowserContext, address: string): Promise<Omit<Visit, 'context'>> {
  const page = await context.newPage();
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => {
    const { url } = message.location();
    // What could not be loaded is not in the text.
    if (['error', 'warning'].includes(message.type())) problems.push(`${message.text()} (${url})`);
  });
  await page.goto(address);
  // The service worker gives the headers, with which the page loads a second time.
  await page.waitForFunction(() => crossOriginIsolated);
  await page.waitForSelector('.table textarea, .paper textarea, .digits canvas');
  return { page, problems };
}

export const button = (page: Page, name: string): ReturnType<Page['getByRole']> =>
  page.getByRole('button', { name, exact: true });

export async function fill(page: Page, values: Readonly<Record<string, string>>): Promise<void> {
  await page.evaluate(() => document.querySelectorAll('details').forEach((one) => (one.open = true)));
  for (const [label, value] of Object.entries(values))
    await page.getByLabel(label, { exact: true }).first().fill(value);
}

export async function untilStatus(page: Page, wanted: RegExp, timeout = minute): Promise<void> {
  await page.waitForFunction(
    (source) => new RegExp(source).test(document.querySelector('.run .status')?.textContent ?? ''),
    wanted.source,
    { timeout },
  );
}

export const untilStep = (page: Page, step: number): Promise<unknown> =>
  page.waitForFunction(
    (wanted) => Number(/Step\s*(\d+)/.exec(document.querySelector('.figures')?.textContent ?? '')?.[1] ?? 0) >= wanted,
    step,
    { timeout: minute },
  );

export interface KeptRun {
  readonly lines: readonly { readonly step: number; readonly loss?: number; readonly eval_loss?: number }[];
  readonly held: readonly object[];
}

/** The run as the page has kept it. */
export const keptRun = (page: Page): Promise<KeptRun> =>
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

export const lossesOf = ({ lines }: KeptRun): number[] => lines.flatMap(({ loss }) => loss ?? []);
export const heldOf = ({ lines }: KeptRun): number[] => lines.flatMap(({ eval_loss: loss }) => loss ?? []);

/** Asks, and waits for both answers: that of the base, and that with adapters. */
export async function ask(page: Page, label: 'Prompt' | 'Message', text: string): Promise<string[]> {
  await page.getByLabel(label, { exact: true }).fill(text);
  await button(page, 'Ask').click();
  await page.waitForSelector('.exchanges[aria-busy="false"]', { timeout: minute });
  return page.locator('.exchanges li:last-child pre').allTextContents();
}

export async function pasteRows(page: Page, rows: string): Promise<void> {
  await button(page, 'Paste …').click();
  await page.getByLabel('Rows to take').fill(rows);
  await button(page, 'Take these rows').click();
}

/** Serious faults, as axe finds them in what is shown. */
export async function faultsOfAccess(page: Page): Promise<string[]> {
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

/** Ends the tab's process, as one that has no memory left. */
export async function crash(page: Page): Promise<void> {
  const killer = await page.context().newCDPSession(page);
  killer.send('Page.crash').catch(() => undefined);
  await page.waitForEvent('crash');
  await page.close();
}

/** Right after the GPU process ended there is nothing that draws. */
export async function picture(page: Page, name: string): Promise<void> {
  const draw = (): Promise<unknown> => page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
  await draw().catch(async () => {
    await page.waitForTimeout(1500);
    await draw();
  });
}

/** What the page says went wrong in a place of it. */
export const faultOf = async (page: Page, place: string): Promise<string> => {
  await page.waitForSelector(`${place} .fault`, { timeout: minute });
  return (await page.textContent(`${place} .fault`)) ?? '';
};
