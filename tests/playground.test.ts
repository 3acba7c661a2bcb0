import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import {
  button,
  faultOf,
  faultsOfAccess,
  fill,
  minute,
  pasteRows,
  picture,
  site,
  stage,
  visit,
} from './helpers/playground.js';

// The playground out of the built site, as a person meets it: before anything is trained.
const on = stage();

test(
  'a first visit paints within a second, with less than 300 kB before a model is chosen, and says what it sends',
  async () => {
    const { page, context, problems } = await visit(on);
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

/** Lets go of a file over a part of the page. */
async function drop(page: Page, place: string, file: { readonly name: string; readonly text: string }): Promise<void> {
  const transfer = await page.evaluateHandle(({ name, text }) => {
    const data = new DataTransfer();
    data.items.add(new File([text], name));
    return data;
  }, file);
  await page.dispatchEvent(place, 'drop', { dataTransfer: transfer });
}

const columns = async (page: Page): Promise<string[]> =>
  (await page.locator('.data thead th').allTextContents()).slice(1, -1);
const cells = (page: Page): Promise<string[]> =>
  page.locator('.data tbody textarea').evaluateAll((all) => all.map((one) => (one as HTMLTextAreaElement).value));
const untilRows = (page: Page, count: number): Promise<unknown> =>
  page.waitForFunction(
    (wanted) => {
      const [, learned, held] = /(\d+) to learn from,\s*(\d+) held/.exec(document.body.textContent ?? '') ?? [];
      return Number(learned) + Number(held) === wanted;
    },
    count,
    { timeout: minute },
  );

test(
  'rows are pasted and dropped as JSONL and CSV, edited, and kept; a file that cannot be read leaves them as they are',
  async () => {
    const { page, context, problems } = await visit(on);
    await pasteRows(page, '{"prompt": "one", "completion": "1"}\n{"prompt": "two", "completion": "2"}\n');
    await untilRows(page, 2);
    expect([await columns(page), await cells(page)]).toEqual([
      ['prompt', 'completion'],
      ['one', '1', 'two', '2'],
    ]);
    await pasteRows(page, 'instruction,output\n"say ""hi"", please",hi\ncount,"1, 2"\nend,.\n');
    await untilRows(page, 3);
    expect([await columns(page), await cells(page)]).toEqual([
      ['instruction', 'output'],
      ['say "hi", please', 'hi', 'count', '1, 2', 'end', '.'],
    ]);
    await drop(page, '.data', { name: 'talk.jsonl', text: '{"text": "first"}\n{"text": "second"}\n' });
    await untilRows(page, 2);
    expect([await columns(page), await cells(page)]).toEqual([['text'], ['first', 'second']]);
    await drop(page, '.data', { name: 'table.csv', text: 'prompt,completion\na,b\nc,d\ne,f\ng,h\n' });
    await untilRows(page, 4);

    await drop(page, '.data', { name: 'picture.jsonl', text: '\u0089PNG\r\n\u001a\n' });
    expect(await faultOf(page, '.data')).toMatch(/These rows cannot be read.*picture\.jsonl, line 1/s);
    await pasteRows(page, '[{"prompt": "a"');
    expect(await faultOf(page, '.data')).toMatch(/These rows cannot be read/);
    expect(await cells(page)).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']);
    await picture(page, 'unreadableRows');
    expect(await faultsOfAccess(page)).toEqual([]);

    await page.getByLabel('completion of row 2').fill('D');
    await page.getByLabel('completion of row 2').blur();
    await button(page, 'Remove row 4').click();
    await untilRows(page, 3);
    await page.waitForTimeout(500); // the page writes a moment after the last change
    await page.reload();
    await page.waitForSelector('.table textarea');
    expect(await cells(page)).toEqual(['a', 'b', 'c', 'D', 'e', 'f']);
    expect(problems).toEqual([]);
    await context.close();
  },
  minute,
);

test(
  'a link restores the settings and the example, and carries none of the rows',
  async () => {
    const { page, context, problems } = await visit(on);
    await page.selectOption('#example', 'questions');
    await page.waitForFunction(() => document.querySelector<HTMLInputElement>('input[type=number]')?.value === '200');
    await page.selectOption('#quantization', 'nf4');
    await page.selectOption('#device', 'cpu');
    await fill(page, { Steps: '77', Rank: '4', 'Learning rate': '0.002', Seed: '5', 'Prompt to watch': 'Who?' });
    await button(page, 'Link to these settings').click();
    await page.waitForFunction(() => document.body.textContent?.includes('The address now carries them'));
    const link = page.url();
    expect(decodeURIComponent(link)).toMatch(/"example":"questions"/);
    expect(link.length).toBeLessThan(400);
    const other = await visit(on, {}, link.slice(on.server.address.length));
    const value = (label: string): Promise<string> =>
      other.page.getByLabel(label, { exact: true }).first().inputValue();
    await fill(other.page, {});
    const labels = ['Steps', 'Rank', 'Learning rate', 'Seed', 'Prompt to watch', 'Device', 'Weights', 'Start from'];
    expect(await Promise.all(labels.map(value))).toEqual(['77', '4', '0.002', '5', 'Who?', 'cpu', 'nf4', 'questions']);
    expect(await cells(other.page)).toEqual(await cells(page));
    expect([...problems, ...other.problems]).toEqual([]);
    await other.context.close();
    await context.close();
  },
  minute,
);

test(
  'what is typed is learned within seconds, finishes the next sentence, and is there after a reload without a network',
  async () => {
    const { page, context, problems } = await visit(on, { viewport: { width: 800, height: 800 } }, 'playground/words');
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
    expect(problems).toEqual([]);
    await page.waitForFunction(() => /0 bytes\s+sent, works offline/.test(document.body.textContent ?? ''), undefined, {
      timeout: minute,
    });
    await context.setOffline(true);
    await page.reload();
    await says('has learned 4 of your sentences');
    await page.locator('.paper textarea').focus();
    await page.keyboard.press('Control+End');
    await page.keyboard.type('\nBest wi');
    await page.waitForFunction(() => /island/.test(document.querySelector('#words-suggestion')?.textContent ?? ''));
    await context.close();
  },
  4 * minute,
);
