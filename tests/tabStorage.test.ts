import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createCpuBackend } from '@lowrank/cpu';
import { fineTune, loadModel } from 'lowrank';
import type { Fit, StoredModel, StoredRun, StorageState } from 'lowrank/storage';
import type { Page, Worker } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { root } from '../scripts/lib/paths.mjs';
import type { TabModules } from './helpers/tab/modules.js';
import { launchTabs, renderers, workerOf } from './helpers/tabBrowser.mjs';

// A browser of its own, whose pages are reloaded, closed, killed and starved while they train and store.
const minutes = 60_000;
const tied = join(root, 'parity/golden/llama/tied');
const rows = readFileSync(join(root, 'parity/golden/llama/train/rows.jsonl'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as object);
const settings = { r: 2, dropout: 0.2, batchSize: 2, steps: 6, saveEvery: 2, learningRate: 5e-3 } as const;
const run = { data: rows, ...settings } as const;

let browser: Awaited<ReturnType<typeof launchTabs>>;
beforeAll(async () => void (browser = await launchTabs({ tied, fresh: tied, other: tied })), 3 * minutes);
afterAll(async () => browser?.close());

interface Training {
  readonly model: string;
  readonly options: object;
  /** After this step it waits for ever. */
  readonly holdAt?: number;
}

interface Trained {
  readonly losses: readonly number[];
  readonly resumed: readonly object[];
  readonly warnings: readonly string[];
  readonly code?: string;
}

/** Trains in the worker of a page. Resolves when it has ended, with or without an error, or is held. */
function train(worker: Worker, training: Training): Promise<Trained> {
  return worker.evaluate(async ({ model: source, options, holdAt }) => {
    const { lowrank } = (globalThis as unknown as { tab: TabModules }).tab;
    const [losses, resumed, warnings] = [[] as number[], [] as object[], [] as string[]];
    const model = await lowrank.loadModel(source, { device: 'cpu' });
    const ended = new Promise<Trained>((resolve) => {
      lowrank
        .fineTune(model, {
          ...(options as { data: object[]; output: string }),
          onEvent(event) {
            if (event.type === 'resumed') resumed.push(event);
            if (event.type === 'warning') warnings.push(event.text);
          },
          async onStep({ step, loss }) {
            losses.push(loss);
            if (step !== holdAt) return;
            resolve({ losses, resumed, warnings });
            await new Promise(() => undefined);
          },
        })
        .then(
          () => resolve({ losses, resumed, warnings }),
          (error: { code?: string; message: string }) =>
            resolve({ losses, resumed, warnings, code: error.code ?? error.message }),
        );
    });
    return ended;
  }, training);
}

const source = (name = 'tied'): string => `${browser.url}/models/${name}`;

/** A file of the storage in hexadecimal digits, or as text. */
function stored(page: Page, path: string, as: 'text' | 'bytes'): Promise<string | undefined> {
  return page.evaluate(
    async ([path, as]) => {
      const disk = (globalThis as unknown as { tab: TabModules }).tab.files.ownDisk;
      const { bytes } = (await disk.stat(path)) ?? {};
      if (bytes === undefined) return undefined;
      if (as === 'text') return disk.readText(path);
      return Array.from(await disk.read(path, 0, bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');
    },
    [path, as] as const,
  );
}

const runsOf = (page: Page): Promise<StoredRun[]> =>
  page.evaluate(async () => {
    const { storage } = (globalThis as unknown as { tab: TabModules }).tab;
    return (await storage.openStorage()).runs();
  });

async function lossesOf(page: Page, output: string): Promise<unknown[]> {
  const text = (await stored(page, `${output}/metrics.jsonl`, 'text')) ?? '';
  return text
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { loss: number }).loss);
}

const adapter = 'adapter_model.safetensors';

/** What Node's losses are, with the same options. */
async function inNode(): Promise<number[]> {
  using backend = disposing(await createCpuBackend());
  const model = await loadModel(tied, { device: backend.value });
  const losses: number[] = [];
  await fineTune(model, { ...run, onStep: ({ loss }) => losses.push(loss) });
  return losses;
}

function disposing<T extends { dispose(): void }>(value: T): Disposable & { value: T } {
  return { value, [Symbol.dispose]: () => value.dispose() };
}

test(
  'a reload, a killed tab: the run goes on from its checkpoint, to the bits of an undisturbed one',
  { timeout: 5 * minutes },
  async () => {
    let page = await browser.page();
    const whole = 'lowrank/runs/whole';
    const undisturbed = await train(await workerOf(page), { model: source(), options: { ...run, output: whole } });
    expect(undisturbed).toMatchObject({ resumed: [], warnings: [] });
    for (const [at, loss] of (await inNode()).entries()) expect(undisturbed.losses[at]).toBeCloseTo(loss, 4);

    const output = 'lowrank/runs/cut';
    const training = { model: source(), options: { ...run, output } };
    await train(await workerOf(page), { ...training, holdAt: 3 });
    // Another tab finds it taken.
    const other = await browser.page();
    expect(await runsOf(other)).toMatchObject([
      { id: 'cut', isOpen: true, status: 'running', step: 3, steps: 6 },
      { id: 'whole', isOpen: false, status: 'finished', step: 6 },
    ]);
    expect(await train(await workerOf(other), training)).toMatchObject({ code: 'files.locked', losses: [] });

    await page.reload();
    await page.waitForFunction(() => 'startWorker' in globalThis);
    const held = await train(await workerOf(page), { ...training, holdAt: 5 });
    expect(held.resumed).toEqual([{ type: 'resumed', folder: output, step: 2 }]);

    await other.close();
    const [largest] = renderers();
    const crashed = page.waitForEvent('crash');
    process.kill(largest?.pid ?? 0, 'SIGKILL');
    await crashed;
    await page.close();
    page = await browser.page();
    expect(await runsOf(page)).toMatchObject([{ id: 'cut', isOpen: false, status: 'interrupted', step: 5 }, {}]);
    const rest = await train(await workerOf(page), training);
    expect(rest.resumed).toEqual([{ type: 'resumed', folder: output, step: 4 }]);
    expect(await lossesOf(page, output)).toEqual(undisturbed.losses);
    const weights = await stored(page, `${output}/${adapter}`, 'bytes');
    expect(weights).toBe(await stored(page, `${whole}/${adapter}`, 'bytes'));
    expect(weights?.length).toBeGreaterThan(1000);

    await page.evaluate(async () => {
      const storage = await (globalThis as unknown as { tab: TabModules }).tab.storage.openStorage();
      for (const { id } of await storage.runs()) await storage.removeRun(id);
    });
    expect(await runsOf(page)).toEqual([]);
    await page.close();
  },
);

/** What the storage of the page's origin does, in the page or in a worker of it. */
type InStorage<Result> = (storage: TabModules['storage'], source: string) => Promise<Result>;

/** Runs it there; a LowrankError comes back as its code and its remedy. */
function inStorage<Result>(
  where: Page | Worker,
  what: InStorage<Result>,
  given = '',
): Promise<Result | { readonly code: string; readonly message: string; readonly remedy: string }> {
  return (where as Page).evaluate(
    async ([body, source]) => {
      const { storage } = (globalThis as unknown as { tab: TabModules }).tab;
      // oxlint-disable-next-line no-implied-eval -- a function of this test, sent as its text
      const run = new Function(`return (${body})`)() as InStorage<Result>;
      return run(storage, source).catch((error: { code: string; message: string; remedy: string }) => {
        return { code: error.code, message: error.message, remedy: error.remedy };
      });
    },
    [String(what), given] as const,
  );
}

test('an adapter is kept, listed, read and removed, in a page and in a worker', { timeout: minutes }, async () => {
  const page = await browser.page();
  for (const where of [page, await workerOf(page)]) {
    const found = await inStorage(where, async ({ openStorage }) => {
      const storage = await openStorage();
      const files = { 'adapter_config.json': '{"r": 8}', 'adapter_model.safetensors': new Uint8Array([1, 2, 3]) };
      const kept = await storage.keepAdapter('mine/the first', files);
      const [listed] = await storage.adapters();
      const read = await storage.adapterFiles('mine/the first');
      await storage.removeAdapter('mine/the first');
      return {
        kept,
        listed,
        names: Object.keys(read).sort(),
        weights: [...(read['adapter_model.safetensors'] ?? [])],
        left: await storage.adapters(),
      };
    });
    const kept = { name: 'mine/the first', source: 'lowrank/adapters/mine%2Fthe%20first', bytes: 11 };
    const names = ['adapter_config.json', 'adapter_model.safetensors'];
    expect(found).toEqual({ kept, listed: kept, names, weights: [1, 2, 3], left: [] });
    const none = { code: 'storage.none' };
    const gone = await inStorage(where, async ({ openStorage }) =>
      (await openStorage()).adapterFiles('mine/the first'),
    );
    expect(gone).toMatchObject(none);
  }
  await page.close();
});

test('a model before its download, kept from picked files, and gone again', { timeout: 5 * minutes }, async () => {
  const page = await browser.page();
  const worker = await workerOf(page);
  browser.sent.clear();
  const fit = (await inStorage(
    worker,
    ({ checkFit }, url) => checkFit(url, { device: 'cpu', quantization: 'nf4', batchSize: 2, maxLength: 32 }),
    source('fresh'),
  )) as Fit;
  const weights = statSync(join(tied, 'model.safetensors')).size;
  expect(fit).toMatchObject({ fits: true, problems: [], downloadBytes: fit.storeBytes });
  expect(fit.downloadBytes).toBeGreaterThan(weights);
  expect(fit.peakBytes).toBe(Object.entries(fit.bytes).reduce((sum, [k, v]) => sum + (k === 'peak' ? 0 : v), 0));
  // The header alone.
  expect(browser.sent.get('model.safetensors')).toBeLessThan(weights / 2);

  for (const where of [worker, page]) {
    const kept = (await inStorage(
      where,
      async ({ openStorage }, url) => {
        const storage = await openStorage();
        const names = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
        const files = await Promise.all(
          names.map(async (name) => new File([await (await fetch(`${url}/${name}`)).blob()], name)),
        );
        const controller = new AbortController();
        const cut = await storage
          .keepModel(files, { name: 'picked one', signal: controller.signal, onProgress: () => controller.abort() })
          .then(
            () => 'kept',
            (error: Error) => error.name,
          );
        const partial = await storage.models();
        const progress: number[] = [];
        const onProgress = ({ bytes }: { bytes: number }): unknown => progress.push(bytes);
        const whole = await storage.keepModel(files, { name: 'picked one', onProgress });
        return { cut, partial, whole, all: await storage.models(), last: progress.at(-1) };
      },
      source(),
    )) as { cut: string; partial: StoredModel[]; whole: StoredModel; all: StoredModel[]; last: number };
    expect(kept).toMatchObject({ cut: 'AbortError', last: expect.any(Number) });
    expect(kept.whole).toEqual({ ...kept.whole, source: 'lowrank/models/picked%20one', isWhole: true });
    expect(kept.all.find(({ name }) => name === 'picked one')).toEqual(kept.whole);
    expect(kept.partial.find(({ name }) => name === 'picked one')).toMatchObject({ isWhole: false });
    const [first] = (await train(worker, { model: kept.whole.source, options: { ...run, steps: 1 } })).losses;
    expect(first).toBeCloseTo((await inNode())[0] ?? NaN, 4);
    await inStorage(page, async ({ openStorage }) => (await openStorage()).removeModel('picked one'));
  }
  expect(
    await inStorage(page, async ({ openStorage }) => (await openStorage()).removeModel('picked one')),
  ).toMatchObject({ code: 'storage.none' });
  await page.close();
});

test(
  'a full quota: told before a download, while a model is kept, and at a checkpoint',
  { timeout: 5 * minutes },
  async () => {
    const page = await browser.page();
    const worker = await workerOf(page);
    const session = await browser.context.newCDPSession(page);
    const { usage } = await session.send('Storage.getUsageAndQuota', { origin: browser.url });
    const quota = (bytes: number): Promise<unknown> =>
      session.send('Storage.overrideQuotaForOrigin', { origin: browser.url, quotaSize: usage + bytes });
    // A folder of its own is not in the cache yet.
    const other = source('other');
    await quota(20_000);
    const state = (await inStorage(worker, async ({ openStorage }) => (await openStorage()).state())) as StorageState;
    expect(state.warnings.map(({ code }) => code)).toEqual(['storage.evictable', 'storage.low']);
    const fit = (await inStorage(worker, ({ checkFit }, url) => checkFit(url, { device: 'cpu' }), other)) as Fit;
    expect(fit).toMatchObject({ fits: false, problems: [{ code: 'storage.quota' }] });
    const kept = await inStorage(worker, async ({ openStorage }, url) => (await openStorage()).keepModel(url), other);
    expect(kept).toMatchObject({ code: 'storage.quota' });
    expect((kept as { remedy: string }).remedy).toContain('Remove stored models or runs');

    // Room for the metrics alone: the run goes on and says so, and fails only where its result has no place.
    const output = 'lowrank/runs/starved';
    const starved = await train(worker, { model: source(), options: { ...run, output } });
    expect(starved.losses).toHaveLength(6);
    expect(starved.warnings.join()).toContain('the checkpoint of step 2 cannot be written');
    expect(starved.code).toBe('storage.quota');
    await quota(50_000_000);
    const whole = await train(worker, { model: source(), options: { ...run, output, overwrite: true } });
    expect(whole).toMatchObject({ warnings: [], losses: starved.losses });
    await session.send('Storage.overrideQuotaForOrigin', { origin: browser.url });
    await page.close();
  },
);

test('a page without a private file system says what to do', { timeout: 2 * minutes }, async () => {
  const page = await browser.page(browser.insecureUrl);
  const error = await inStorage(page, ({ openStorage }) => openStorage());
  expect(error).toMatchObject({ code: 'storage.unavailable' });
  expect((error as { remedy: string }).remedy).toContain('https');
  await page.close();
});
