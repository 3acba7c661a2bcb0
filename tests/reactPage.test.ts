import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import type { Browser } from 'playwright-core';
import type { PreviewServer } from 'vite';
import { build, preview } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { browserEnvironment, chromiumArgs, findChromium } from '../scripts/lib/chromium.mjs';
import { root } from '../scripts/lib/paths.mjs';

// The React example as it is published, over the built packages: a model and two adapters picked from the disk, and a
// question to each.
const work = mkdtempSync(join(tmpdir(), 'reactPage-'));
const golden = join(root, 'parity/golden/llama');
let server: PreviewServer;
let browser: Browser;

const template =
  "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}";

beforeAll(async () => {
  cpSync(join(golden, 'tied'), join(work, 'model'), { recursive: true });
  const config = join(work, 'model/tokenizer_config.json');
  writeFileSync(config, JSON.stringify({ ...JSON.parse(readFileSync(config, 'utf8')), chat_template: template }));
  const page = {
    root: join(root, 'examples/react'),
    configFile: join(root, 'examples/react/vite.config.ts'),
    logLevel: 'error' as const,
  };
  await build({ ...page, build: { outDir: join(work, 'page'), emptyOutDir: true } });
  server = await preview({ ...page, build: { outDir: join(work, 'page') }, preview: { port: 0, host: '127.0.0.1' } });
  const found = await findChromium();
  browser = await chromium.launch({
    executablePath: found.path,
    args: chromiumArgs,
    env: browserEnvironment(found.env),
  });
}, 180_000);

afterAll(async () => {
  await browser?.close();
  await server?.close();
  rmSync(work, { recursive: true, force: true });
});

const filesOf = (folder: string): string[] => readdirSync(folder).map((name) => join(folder, name));

test('the base and two adapters answer one question in three ways', async () => {
  const page = await browser.newPage();
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
  await page.goto(server.resolvedUrls?.local[0] ?? '');
  await page.getByLabel('Model folder').setInputFiles(filesOf(join(work, 'model')));
  for (const [at, name] of ['tied-all', 'tied-qv'].entries()) {
    await page.getByLabel('Add an adapter folder').setInputFiles(filesOf(join(golden, 'adapters', name)));
    await page.getByRole('radio', { name: `adapter ${at + 1}` }).waitFor({ timeout: 60_000 });
  }
  const answers: string[] = [];
  for (const name of ['base', 'adapter 1', 'adapter 2']) {
    await page.getByRole('radio', { name }).check();
    await page.getByLabel('Message').fill('name: ada');
    await page.getByRole('button', { name: 'Send' }).click();
    // The answer is whole when one may begin again.
    const again = page.getByRole('button', { name: 'Begin again' });
    await expect.poll(() => again.isEnabled(), { timeout: 60_000 }).toBe(true);
    expect(await page.getByRole('alert').allTextContents()).toEqual([]);
    const answer = (await page.locator('li[data-role="assistant"]').textContent({ timeout: 5000 })) ?? '';
    expect(answer).toContain(`(${name})`);
    answers.push(answer.replace(/ \(.*\)$/, ''));
    await again.click();
  }
  expect(new Set(answers).size).toBe(3);
  expect(problems).toEqual([]);
}, 180_000);
