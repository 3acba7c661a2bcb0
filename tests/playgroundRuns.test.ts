import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { root } from '../scripts/lib/paths.mjs';
import {
  ask,
  button,
  crash,
  faultsOfAccess,
  fill,
  heldOf,
  keptRun,
  lossesOf,
  minute,
  open,
  pasteRows,
  picture,
  stage,
  untilStatus,
  untilStep,
  visit,
} from './helpers/playground.js';

// Runs of the playground on the CPU backend, and what is done with the adapters that they leave.
const on = stage();

const { unzipSync } = createRequire(join(root, 'docs/package.json'))('fflate') as {
  readonly unzipSync: (bytes: Uint8Array) => Readonly<Record<string, Uint8Array>>;
};

test(
  'on the CPU it trains, goes on after a reload and a crash with the same losses, and its zip evaluates the same',
  async () => {
    const first = await visit(on);
    const { context } = first;
    let { page, problems } = first;
    await page.selectOption('#device', 'cpu');
    await fill(page, { Steps: '60', 'Measure every': '20', 'Tokens it writes': '24' });
    await button(page, 'Train').click();
    await untilStep(page, 5);
    // Asked meanwhile, between two steps, from what it has learned by then: the losses know nothing of it.
    expect(await ask(page, 'Prompt', 'The sky is')).toHaveLength(1);
    expect(await page.textContent('.exchanges figcaption')).toMatch(/Run 1, step \d+/);
    await untilStep(page, 15);
    await page.reload();
    await untilStatus(page, /rests after step [1-5]\d of 60/);
    await button(page, 'Resume').click();
    await untilStep(page, 35);
    expect(problems).toEqual([]);
    await crash(page);
    ({ page, problems } = await open(context, `${on.server.address}playground/`));
    await untilStatus(page, /rests after step [3-5]\d of 60/);
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
    const zip = join(on.scratch, 'adapter.zip');
    await download.saveAs(zip);
    expect(evaluated(zip, resumed.held)).toBeCloseTo(heldOf(resumed).at(-1) ?? NaN, 4);

    const [model] = await Promise.all([page.waitForEvent('download'), button(page, 'GGUF').click()]);
    await model.saveAs(join(on.scratch, 'model.gguf'));
    expect(model.suggestedFilename()).toBe('Small-stories.gguf');
    expect(readFileSync(join(on.scratch, 'model.gguf')).subarray(0, 4).toString()).toBe('GGUF');
    const [folder] = await Promise.all([page.waitForEvent('download'), button(page, 'Merged model').click()]);
    await folder.saveAs(join(on.scratch, 'merged.zip'));
    expect(evaluated(join(on.scratch, 'merged.zip'), resumed.held)).toBeCloseTo(heldOf(resumed).at(-1) ?? NaN, 2);

    // The same run in one go.
    await button(page, 'Train again').click();
    await untilStatus(page, /is done: 60 steps/);
    const whole = await keptRun(page);
    expect(lossesOf(whole)).toHaveLength(60);
    for (const [at, loss] of lossesOf(whole).entries())
      expect(Math.abs(loss - (lossesOf(resumed)[at] ?? NaN))).toBeLessThan(1e-6);
    expect(problems).toEqual([]);
    await context.close();
  },
  5 * minute,
);

const small = { Steps: '25', 'Learning rate': '0.006', 'Rows a step': '4', 'Held out, %': '0', 'Prompt to watch': '' };

test(
  'adapters are mixed by strength, and one that was exported and removed is imported again and writes the same',
  async () => {
    const { page, context, problems } = await visit(on);
    await page.selectOption('#device', 'cpu');
    const train = async (rows: string, run: string): Promise<void> => {
      await pasteRows(page, rows);
      await fill(page, { ...small, 'Tokens it writes': '8' });
      await page.getByRole('button', { name: /^Train( again)?$/ }).click();
      await untilStatus(page, new RegExp(`${run} is done: 25 steps`));
    };
    const answer = async (): Promise<string> => (await ask(page, 'Prompt', 'The sky is')).join('|');
    const strength = (at: number, value: string): Promise<void> => page.getByLabel('Strength').nth(at).fill(value);
    await train('{"prompt": "The sky is", "completion": " blue and wide"}\n'.repeat(4), 'Run 1');
    const one = await answer();
    expect(one).toMatch(/\| blue/);
    await train('{"prompt": "The sky is", "completion": " red, I say"}\n'.repeat(4), 'Run 2');
    const both = await answer();
    expect(await page.locator('.exchanges figcaption').allTextContents()).toEqual(['Base', 'Run 1 + Run 2']);
    await strength(0, '0');
    const two = await answer();
    expect(two).toMatch(/\| red/);
    expect(await page.locator('.exchanges figcaption').allTextContents()).toEqual(['Base', 'Run 1 × 0 + Run 2']);
    expect(new Set([one, both, two]).size).toBeGreaterThanOrEqual(2);
    await strength(0, '1');
    await strength(1, '0');
    expect(await answer()).toBe(one);
    await page.getByLabel('Use Run 1', { exact: true }).uncheck();
    const [base, none] = (await answer()).split('|');
    expect(none).toBe(base);
    await picture(page, 'mixed');

    const [download] = await Promise.all([page.waitForEvent('download'), button(page, 'PEFT zip').first().click()]);
    expect(download.suggestedFilename()).toBe('Run-1.zip');
    const zip = join(on.scratch, 'Run-1.zip');
    await download.saveAs(zip);
    await button(page, 'Remove').first().click();
    await button(page, 'Remove').first().click();
    await page.waitForSelector('.shelf li', { state: 'detached' });
    await page.getByLabel('Adapter to import').setInputFiles(zip);
    await page.waitForSelector('.shelf li');
    expect(await page.textContent('.shelf')).toMatch(/rank 16/);
    expect(await answer()).toBe(one);
    await page.reload();
    await page.waitForSelector('.shelf li');
    expect(await answer()).toBe(one);
    expect(await faultsOfAccess(page)).toEqual([]);
    expect(problems).toEqual([]);
    await context.close();
  },
  4 * minute,
);

/** What `lowrank eval` says of an adapter or a model in a zip, over rows. */
function evaluated(zip: string, rows: readonly object[]): number {
  const folder = zip.replace(/\.zip$/, '');
  const data = join(on.scratch, 'held.jsonl');
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
