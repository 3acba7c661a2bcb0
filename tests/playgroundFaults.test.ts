import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { root } from '../scripts/lib/paths.mjs';
import {
  button,
  crash,
  faultOf,
  faultsOfAccess,
  fill,
  heldOf,
  keptRun,
  lossesOf,
  minute,
  open,
  picture,
  stage,
  untilStatus,
  untilStep,
  visit,
} from './helpers/playground.js';

// What can go wrong on the playground, each as a person sees it.
const on = stage();

/** Ends the browser's GPU process, as a driver's reset does. */
async function killGpu(): Promise<void> {
  const session = await on.browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  for (const { type, id } of processInfo) if (type === 'GPU') process.kill(id, 'SIGKILL');
  await session.detach();
}

test(
  'on WebGPU it trains; where the GPU is lost it says so, and goes on from what was saved',
  async () => {
    const { page, context } = await visit(on, { viewport: { width: 390, height: 844 }, colorScheme: 'dark' });
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

test(
  'a tab that is killed, a full disk, no network and broken files: each is told in a sentence',
  async () => {
    const { page, context } = await visit(on, { colorScheme: 'dark' });
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
    await crash(page);
    await context.setOffline(false);
    const { page: again } = await open(context, `${on.server.address}playground/`);
    // A state is saved every 160 steps; a busy machine may take a few more of them before the tab is gone.
    await untilStatus(again, /rests after step [\d,]+ of 8,000/);
    const rested = /after step ([\d,]+)/.exec((await again.textContent('.run .status')) ?? '')?.[1] ?? '';
    expect(Number(rested.replaceAll(',', ''))).toBeGreaterThanOrEqual(160);
    expect(Number(rested.replaceAll(',', '')) % 160).toBe(0);
    await picture(again, 'killed');

    const session = await context.newCDPSession(again);
    await session.send('Storage.overrideQuotaForOrigin', { origin: on.server.address.slice(0, -1), quotaSize: 1000 });
    // Chromium asks how much room there is about every half minute: the run has to be longer on a fast machine too.
    await button(again, 'Resume').click();
    expect(await faultOf(again, '.playground > [role="alert"]')).toMatch(/no room left/);
    await picture(again, 'full');
    await button(again, 'Stop and keep').click();
    await untilStatus(again, /is done: [\d,]+ steps/);
    expect(await faultsOfAccess(again)).toEqual([]);
    await context.close();
  },
  4 * minute,
);
