import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { curvesOf, reportOf } from '@lowrank/study';
import type { Browser } from 'playwright-core';
import { chromium } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { svgDocument, textAt } from '../packages/study/src/charts/svg';
import { exampleMetrics, exampleRun, exampleSamples } from '../packages/study/src/runReport/exampleRun';
import { page as studyPage } from '../packages/study/src/tables/page';
import { browserEnvironment, chromiumArgs, findChromium } from '../scripts/lib/chromium.mjs';
import { cache } from '../scripts/lib/paths.mjs';

// A report as a person opens it: a file, light or dark, on a screen or a phone. Screenshots, for a person to look at,
// lie in the cache folder.
const pictures = join(cache, 'page');
const file = join(pictures, 'report.html');
let browser: Browser;

beforeAll(async () => {
  mkdirSync(pictures, { recursive: true });
  const found = await findChromium();
  browser = await chromium.launch({
    executablePath: found.path,
    args: chromiumArgs,
    env: browserEnvironment(found.env),
  });
  writeFileSync(file, reportOf(exampleRun, curvesOf(exampleMetrics(600)), exampleSamples));
}, 120_000);

afterAll(() => browser?.close());

const screen = { width: 1280, height: 900 };
const phone = { width: 390, height: 844 };

test.each([
  { name: 'reportLight', scheme: 'light', viewport: screen, ground: 'rgb(255, 255, 255)' },
  { name: 'reportDark', scheme: 'dark', viewport: screen, ground: 'rgb(18, 24, 31)' },
  { name: 'reportPhone', scheme: 'light', viewport: phone, ground: 'rgb(255, 255, 255)' },
  { name: 'reportPhoneDark', scheme: 'dark', viewport: phone, ground: 'rgb(18, 24, 31)' },
] as const)(
  '$name: is shown without errors, requests or a horizontal bar',
  async ({ name, scheme, viewport, ground }) => {
    const context = await browser.newContext({ viewport, colorScheme: scheme, deviceScaleFactor: 2 });
    const page = await context.newPage();
    const problems: string[] = [];
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('console', (message) => problems.push(message.text()));
    page.on('dialog', (dialog) => problems.push(dialog.message()));
    page.on('request', (request) => request.url().startsWith('http') && problems.push(request.url()));
    await page.goto(pathToFileURL(file).href);
    const seen = await page.evaluate(() => ({
      wide: document.documentElement.scrollWidth,
      title: document.title,
      ground: getComputedStyle(document.body).backgroundColor,
      // Charts lie on the page's own ground, and what has the colour of ink can be read on it.
      charts: [...document.querySelectorAll('svg > rect')].map((rect) => getComputedStyle(rect).fill),
      shown: [...document.querySelectorAll('svg')].filter((svg) => svg.getBoundingClientRect().width > 0).length,
      outside: [...document.querySelectorAll('svg')].flatMap((svg) => {
        const bounds = svg.getBoundingClientRect();
        return [...svg.querySelectorAll('text')]
          .filter((text) => {
            const { left, right, top, bottom } = text.getBoundingClientRect();
            return left < bounds.left || right > bounds.right || top < bounds.top || bottom > bounds.bottom;
          })
          .map((text) => text.textContent);
      }),
      smallest: Math.min(
        ...[...document.querySelectorAll('svg')].map((svg) => {
          const { width } = svg.getBoundingClientRect();
          return width === 0 ? Infinity : (11 * width) / svg.viewBox.baseVal.width;
        }),
      ),
    }));
    expect(seen.wide).toBeLessThanOrEqual(viewport.width);
    expect(seen.title).toBe(exampleRun.name);
    expect([seen.ground, ...new Set(seen.charts)]).toEqual([ground, ground]);
    expect(seen.shown).toBe(7);
    expect(seen.outside).toEqual([]);
    // Texts of the charts, in pixels.
    expect(seen.smallest).toBeGreaterThan(9.5);
    await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
    expect(problems).toEqual([]);
    await context.close();
  },
);

test('the chart of a study scrolls in its own frame on a phone, and is dark where that is preferred', async () => {
  const study = join(pictures, 'studyReport.html');
  const chart = svgDocument({ width: 1120, height: 500, label: 'a chart' }, [textAt({ x: 20, y: 20 }, 'score')]);
  writeFileSync(study, studyPage('Methods compared', [`<figure>${chart}</figure>`]));
  const context = await browser.newContext({ viewport: phone, colorScheme: 'dark' });
  const page = await context.newPage();
  await page.goto(pathToFileURL(study).href);
  const { wide, width, fills } = await page.evaluate(() => ({
    wide: document.documentElement.scrollWidth,
    width: document.querySelector('svg')?.getBoundingClientRect().width,
    fills: [...document.querySelectorAll('svg rect, svg text')].map((part) => getComputedStyle(part).fill),
  }));
  expect(wide).toBeLessThanOrEqual(phone.width);
  expect(width).toBe(760);
  expect(fills).toEqual(['rgb(18, 24, 31)', 'rgb(204, 214, 224)']);
  await context.close();
});
