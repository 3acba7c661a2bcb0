import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
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
const { unzipSync } = createRequire(join(root, 'docs/package.json'))('fflate') as {
  readonly unzipSync: (bytes: Uint8Array) => Readonly<Record<string, Uint8Array>>;
};
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
  if (place === 'playground/') {
    // The service worker gives the headers, with which the page loads a second time.
    await page.waitForFunction(() => crossOriginIsolated);
    await page.waitForSelector('.table textarea');
  }
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

/** Right after the GPU process ended there is nothing that draws. */
async function picture(page: Page, name: string): Promise<void> {
  const draw = (): Promise<unknown> => page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
  await draw().catch(async () => {
    await page.waitForTimeout(1500);
    await draw();
  });
}

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
    await untilStatus(page, /rests after step [1-5]\d of 60/);
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
    expect(await page.textContent('.privacy summary')).toMatch(/0 bytes\s+sent/);

    const [download] = await Promise.all([page.waitForEvent('download'), button(page, 'PEFT zip').click()]);
    const zip = join(scratch, 'adapter.zip');
    await download.saveAs(zip);
    expect(evaluated(zip, resumed.held)).toBeCloseTo(heldOf(resumed).at(-1) ?? NaN, 4);

    const [model] = await Promise.all([page.waitForEvent('download'), button(page, 'GGUF').click()]);
    await model.saveAs(join(scratch, 'model.gguf'));
    expect(model.suggestedFilename()).toBe('Small-stories.gguf');
    expect(readFileSync(join(scratch, 'model.gguf')).subarray(0, 4).toString()).toBe('GGUF');
    const [folder] = await Promise.all([page.waitForEvent('download'), button(page, 'Merged model').click()]);
    await folder.saveAs(join(scratch, 'merged.zip'));
    expect(evaluated(join(scratch, 'merged.zip'), resumed.held)).toBeCloseTo(heldOf(resumed).at(-1) ?? NaN, 2);

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

/** What `lowrank eval` says of an adapter or a model in a zip, over rows. */
function evaluated(zip: string, rows: readonly object[]): number {
  const folder = zip.replace(/\.zip$/, '');
  const data = join(scratch, 'held.jsonl');
  mkdirSync(folder);
  const files = unzipSync(readFileSync(zip));
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
  writeFileSync(data, rows.map((row) => JSON.stringify(row)).join('\n'));
  const what =
    'adapter_config.json' in files ? ['--model', 'examples/demo/base', '--adapter', folder] : ['--model', folder];
  const printed = execFileSync(
    process.execPath,
    [
      'packages/lowrank/dist/cli.js',
      'eval',
      ...what,
      '--data',
      data,
      '--max-length',
      '128',
      '--device',
      'cpu',
      '--json',
    ],
    { cwd: root, encoding: 'utf8' },
  );
  return (JSON.parse(printed.trim().split('\n').at(-1) ?? '{}') as { loss: number }).loss;
}

/** Ends the browser's GPU process, as a driver's reset does. */
async function killGpu(): Promise<void> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  for (const { type, id } of processInfo) if (type === 'GPU') process.kill(id, 'SIGKILL');
  await session.detach();
}

test(
  'on WebGPU it trains; where the GPU is lost it says so, and goes on from what was saved',
  async () => {
    const { page, context } = await visit({ viewport: { width: 390, height: 844 }, colorScheme: 'dark' });
    await page.selectOption('#device', 'webgpu');
    await fill(page, { Steps: '30', 'Rows a step': '2', 'Measure every': '10', 'Tokens it writes': '8' });
    await button(page, 'Train').click();
    await untilStep(page, 12);
    const { top, chosen } = await page.evaluate(() => ({
      top: document.querySelector('.run')?.getBoundingClientRect().top ?? 0,
      chosen: document.querySelector('.choices')?.getBoundingClientRect().top ?? 0,
    }));
    expect(top).toBeLessThan(chosen);
    await picture(page, 'phoneDarkRunning');
    await killGpu();
    await page.waitForSelector('.run .fault', { timeout: minute });
    expect(await page.textContent('.run .fault')).toMatch(/The GPU was lost.*press Resume/s);
    await picture(page, 'gpuLost');
    expect(await faultsOfAccess(page)).toEqual([]);
    await button(page, 'Resume').click();
    await untilStatus(page, /is done: 30 steps/, 2 * minute);
    const held = heldOf(await keptRun(page));
    expect(held.at(-1)).toBeLessThan(0.8 * (held[0] ?? 0));
    expect(lossesOf(await keptRun(page))).toHaveLength(30);
    const { wide, view } = await page.evaluate(() => ({
      wide: document.documentElement.scrollWidth,
      view: innerWidth,
    }));
    expect(wide).toBeLessThanOrEqual(view);
    await context.close();
  },
  4 * minute,
);

const faultOf = async (page: Page, place: string): Promise<string> => {
  await page.waitForSelector(`${place} .fault`, { timeout: minute });
  return (await page.textContent(`${place} .fault`)) ?? '';
};

test(
  'a tab that is killed, a full disk, no network and broken files: each is told in a sentence',
  async () => {
    const { page, context } = await visit({ colorScheme: 'dark' });
    await page.waitForFunction(() => /offline/.test(document.querySelector('.privacy summary')?.textContent ?? ''));
    await page.selectOption('#device', 'cpu');

    await page.getByLabel('File of rows').setInputFiles({
      name: 'rows.jsonl',
      mimeType: 'text/plain',
      buffer: Buffer.from('{"prompt": "a", "completion": "b"}\n{"prompt": '),
    });
    expect(await faultOf(page, '.data')).toMatch(/These rows cannot be read.*rows\.jsonl, line 2/s);
    await page.getByLabel('Adapter to import').setInputFiles({
      name: 'adapter.zip',
      mimeType: 'application/zip',
      buffer: Buffer.from('PK\u0003\u0004 and then nothing'),
    });
    expect(await faultOf(page, '.adapters')).toMatch(/adapter\.zip is no whole ZIP file|are missing/);
    await picture(page, 'brokenFiles');

    // The rows are still those from before. A model whose weights are cut off:
    await page.getByLabel('A folder of this device').check();
    await page.getByLabel('Files of the model').setInputFiles(
      ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors'].map((name) => {
        const bytes = readFileSync(join(root, 'examples/demo/base', name));
        const buffer = name.endsWith('.safetensors') ? bytes.subarray(0, 500_000) : bytes;
        return { name, mimeType: 'application/octet-stream', buffer };
      }),
    );
    await button(page, 'Train').click();
    expect(await faultOf(page, '.run')).toMatch(/This model cannot be loaded.*model\.safetensors/s);
    await picture(page, 'brokenModel');

    await context.setOffline(true);
    await page.getByLabel('From the Hugging Face hub').check();
    await button(page, 'Train').click();
    expect(await faultOf(page, '.run')).toMatch(/download did not come through/);
    await picture(page, 'offline');

    // Without a network the model of the page is there all the same.
    await page.getByLabel('Small stories').check();
    await fill(page, { Steps: '8000', 'Measure every': '4000' });
    await button(page, 'Train').click();
    await untilStep(page, 170);
    const killer = await context.newCDPSession(page);
    killer.send('Page.crash').catch(() => undefined);
    await page.waitForEvent('crash');
    await page.close();
    await context.setOffline(false);
    const { page: again } = await open(context);
    // A state is saved every 160 steps; a busy machine may take a few more of them before the tab is gone.
    await untilStatus(again, /rests after step [\d,]+ of 8,000/);
    const rested = /after step ([\d,]+)/.exec((await again.textContent('.run .status')) ?? '')?.[1] ?? '';
    expect(Number(rested.replaceAll(',', ''))).toBeGreaterThanOrEqual(160);
    expect(Number(rested.replaceAll(',', '')) % 160).toBe(0);
    await picture(again, 'killed');

    const session = await context.newCDPSession(again);
    await session.send('Storage.overrideQuotaForOrigin', { origin: server.address.slice(0, -1), quotaSize: 1000 });
    // Chromium asks how much room there is about every half minute: the run has to be longer on a fast machine too.
    await button(again, 'Resume').click();
    expect(await faultOf(again, '.playground > [role="alert"]')).toMatch(/no room left/);
    await picture(again, 'full');
    await button(again, 'Stop and keep').click();
    await untilStatus(again, /is done: [\d,]+ steps/);
    expect(await faultsOfAccess(again)).toEqual([]);
    await context.close();
  },
  3 * minute,
);

test(
  'what is typed is learned within seconds, finishes the next sentence, and is there after a reload',
  async () => {
    const { page, context, problems } = await visit({ viewport: { width: 800, height: 800 } }, 'playground/words');
    const says = (text: string): Promise<unknown> =>
      page.waitForFunction((wanted) => document.querySelector('#words-status')?.textContent?.includes(wanted), text, {
        timeout: minute,
      });
    await says('knows none of your sentences');
    await button(page, 'Begin with a letter').click();
    await says('has learned 4 of your sentences');
    await page.locator('.paper textarea').focus();
    await page.keyboard.press('Control+End');
    await page.keyboard.type('Please bring the bl');
    await page.waitForFunction(() => /rope/.test(document.querySelector('#words-suggestion')?.textContent ?? ''));
    await page.keyboard.press('Tab');
    expect(await page.inputValue('.paper textarea')).toMatch(/\nPlease bring the blue rope/);
    expect(await faultsOfAccess(page)).toEqual([]);
    await picture(page, 'words');
    await page.reload();
    await says('has learned 4 of your sentences');
    expect(problems).toEqual([]);
    await context.close();
  },
  2 * minute,
);
