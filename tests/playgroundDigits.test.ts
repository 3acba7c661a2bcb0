import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { root } from '../scripts/lib/paths.mjs';
import { button, faultsOfAccess, minute, picture, stage, visit } from './helpers/playground.js';

// The page on which a digit is drawn, out of the built site.
const on = stage();
const { unzipSync } = createRequire(join(root, 'docs/package.json'))('fflate') as {
  readonly unzipSync: (bytes: Uint8Array) => Readonly<Record<string, Uint8Array>>;
};

const says = (page: Page, text: string): Promise<unknown> =>
  page.waitForFunction((wanted) => document.querySelector('#digits-status')?.textContent?.includes(wanted), text, {
    timeout: 2 * minute,
  });

type Point = readonly [x: number, y: number];
const origin: Point = [0, 0];

/** Strokes by the mouse, in points of the canvas. */
async function draw(page: Page, ...strokes: readonly (readonly Point[])[]): Promise<void> {
  const canvas = page.locator('.digits canvas');
  await canvas.evaluate((element) => element.scrollIntoView({ block: 'center', behavior: 'instant' }));
  const box = await canvas.boundingBox();
  if (box === null) throw new Error('no canvas');
  const at = ([x, y]: Point): [number, number] => [box.x + x, box.y + y];
  for (const [first = origin, ...rest] of strokes) {
    await page.mouse.move(...at(first));
    await page.mouse.down();
    for (const point of rest) await page.mouse.move(...at(point), { steps: 6 });
    await page.mouse.up();
  }
}

/** A seven, moved and slanted a little. */
const seven = (dx = 0, slant = 0): Point[] => [
  [70 + dx, 60],
  [205 + dx, 60],
  [130 + dx - slant, 245],
];
const cross = (size: number): Point[][] => [
  [
    [140 - size, 140 - size],
    [140 + size, 140 + size],
  ],
  [
    [140 + size, 140 - size],
    [140 - size, 140 + size],
  ],
];
const ring = (size: number): Point[] =>
  Array.from({ length: 25 }, (_, at) => [
    140 + size * Math.cos((at * Math.PI) / 12),
    140 + size * Math.sin((at * Math.PI) / 12),
  ]);

const cells = (page: Page): Promise<string[]> => page.locator('#digits-lessons tbody tr:last-child td').allInnerTexts();

test(
  'a drawn 1 is known; LoRA learns 5 to 9 in the tab, and a drawn 7 is known then; the adapter is PEFT’s, in a ZIP',
  async () => {
    const { page, context, problems } = await visit(on, {}, 'playground/digits');
    await says(page, 'It knows 0, 1, 2, 3, 4');
    await draw(page, [
      [150, 40],
      [135, 240],
    ]);
    await says(page, 'It takes this for a 1');
    await button(page, 'Clear').click();
    await button(page, 'Take 50 each of 5 to 9').click();
    await button(page, 'Teach by LoRA').click();
    await page.waitForSelector('#digits-lessons', { timeout: 2 * minute });
    const [classes, count, trained, before = '', after = ''] = await cells(page);
    // A head of 5 · 65, and per layer 4 · (4 · 2 · 64 + 2 · (64 + 256)).
    expect([classes, count, trained]).toEqual(['5 6 7 8 9', '250', (5 * 65 + 4 * 4 * 1152).toLocaleString('en-US')]);
    // Chance is a fifth.
    expect([Number.parseInt(before) < 40, Number.parseInt(after) > 70]).toEqual([true, true]);
    await draw(page, seven());
    await says(page, 'It takes this for a 7');
    expect(await faultsOfAccess(page)).toEqual([]);
    await picture(page, 'digits');

    const downloading = page.waitForEvent('download');
    await button(page, 'Download the adapter').click();
    const zip = unzipSync(readFileSync(await (await downloading).path()));
    expect(Object.keys(zip).sort()).toEqual(
      expect.arrayContaining(['adapter_config.json', 'adapter_model.safetensors']),
    );
    const config = JSON.parse(new TextDecoder().decode(zip['adapter_config.json'])) as Record<string, unknown>;
    expect(config).toMatchObject({ peft_type: 'LORA', r: 4, lora_alpha: 8, modules_to_save: ['classifier'] });
    expect(problems).toEqual([]);
    await context.close();
  },
  4 * minute,
);

test(
  'signs that are drawn are learned, by full fine-tuning too, without a network and on a phone',
  async () => {
    const { page, context, problems } = await visit(
      on,
      { viewport: { width: 390, height: 844 }, colorScheme: 'dark' },
      'playground/digits',
    );
    await says(page, 'It knows 0, 1, 2, 3, 4');
    await page.waitForFunction(() => /0 bytes\s+sent, works offline/.test(document.body.textContent ?? ''), undefined, {
      timeout: minute,
    });
    expect(problems).toEqual([]);
    await context.setOffline(true);
    await page.reload();
    await says(page, 'It knows 0, 1, 2, 3, 4');
    const keep = async (name: string, ...strokes: Point[][]): Promise<void> => {
      await draw(page, ...strokes);
      await page.getByLabel('This drawing is a').fill(name);
      await button(page, 'Keep it').click();
    };
    for (const size of [60, 85, 110]) {
      await keep('cross', ...cross(size));
      await keep('ring', ring(size));
    }
    await expect.poll(() => page.locator('.classes img').count()).toBe(6);
    await button(page, 'By full fine-tuning').click();
    await page.waitForSelector('#digits-lessons', { timeout: 2 * minute });
    expect((await cells(page)).slice(0, 5)).toEqual(['cross ring', '6', '204,546', '–', '–']);
    await draw(page, ...cross(75));
    await says(page, 'It takes this for a cross');
    await button(page, 'Clear').click();
    await draw(page, ring(75));
    await says(page, 'It takes this for a ring');
    expect(await faultsOfAccess(page)).toEqual([]);
    await picture(page, 'digitsPhone');
    await button(page, 'Forget the examples of ring').click();
    expect(await button(page, 'Teach by LoRA').isDisabled()).toBe(true);
    // Without a network nothing of the page is missing; VitePress asks ahead for other pages whose links are in view.
    expect(problems.filter((text) => !/ERR_FAILED.*\/assets\/[^/]+\.md\.[^/]+\.js\)$/.test(text))).toEqual([]);
    await context.close();
  },
  4 * minute,
);
