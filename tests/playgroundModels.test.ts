import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, expect, test } from 'vitest';
import { root } from '../scripts/lib/paths.mjs';
import type { HubServer } from './helpers/hubServer.js';
import { hubServer } from './helpers/hubServer.js';
import {
  ask,
  button,
  faultsOfAccess,
  fill,
  minute,
  pasteRows,
  picture,
  stage,
  untilStatus,
  visit,
} from './helpers/playground.js';
import { selfSigned } from './helpers/selfSigned.js';

// Where the playground's models come from: a hub, an address, files that a person picks. The hub is a server of this
// machine under the name of the Hugging Face hub, with the demo's model and a chat template.
const template =
  "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}" +
  '{% if add_generation_prompt %}assistant: {% endif %}';
const files = Object.fromEntries(
  ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'].map((name) => {
    const bytes = readFileSync(join(root, 'examples/demo/base', name));
    if (name !== 'tokenizer_config.json') return [name, bytes];
    return [name, Buffer.from(JSON.stringify({ ...JSON.parse(bytes.toString()), chat_template: template }))];
  }),
);
let hub: HubServer;
const on = stage(async () => {
  hub = await hubServer(files, undefined, selfSigned('huggingface.co'));
  const { host } = new URL(hub.url);
  return [`--host-resolver-rules=MAP huggingface.co:443 ${host}`, '--ignore-certificate-errors'];
});
afterAll(() => hub?.[Symbol.asyncDispose]());

const chats = ['What is red?', 'What is blue?', 'What is green?']
  .map((content) => ({
    messages: [
      { role: 'user', content },
      { role: 'assistant', content: 'arr arr arr' },
    ],
  }))
  .map((row) => JSON.stringify(row))
  .join('\n');

/** What the page says of the model's fit. */
async function fitOf(page: Page): Promise<string> {
  await button(page, 'Does it fit?').click();
  const told = page.getByText(/It (fits|does not fit): /);
  await told.waitFor({ timeout: minute });
  return (await told.textContent()) ?? '';
}

const small = { Steps: '20', 'Learning rate': '0.01', 'Rows a step': '3', 'Measure every': '20', 'Held out, %': '0' };

test(
  'a model of the hub: its fit before the download, a training on chats, a chat beside the base, then no network',
  async () => {
    const { page, context, problems } = await visit(on);
    await page.selectOption('#device', 'cpu');
    await pasteRows(page, chats);
    await page.getByLabel('From the Hugging Face hub').check();
    await page.getByLabel('Hub id of the model').fill('tiny/llama');
    await page.getByLabel('Hub id of the model').blur();
    expect(await fitOf(page)).toMatch(/It fits: 0\.26 million parameters, 1(\.\d)? MB to fetch, [\d.]+ MB of \d/);
    // The head of the weights is read by a range.
    expect(hub.requests.filter((one) => /GET \/store\/model\.safetensors(?! bytes=)/.test(one))).toEqual([]);
    await fill(page, { ...small, 'Tokens it writes': '8', 'Prompt to watch': '' });
    await button(page, 'Train').click();
    await untilStatus(page, /is done: 20 steps/);

    const [base, tuned] = await ask(page, 'Message', 'What is red?');
    expect(tuned).toMatch(/arr/);
    expect(base).not.toBe(tuned);
    await ask(page, 'Message', 'What is blue?');
    expect(await page.locator('.exchanges .prompt').allTextContents()).toEqual([
      expect.stringMatching(/What is red\?/),
      expect.stringMatching(/What is blue\?/),
    ]);
    expect(await page.locator('.exchanges li:last-child figcaption').allTextContents()).toEqual(['Base', 'Run 1']);
    expect(await faultsOfAccess(page)).toEqual([]);
    await picture(page, 'hubChat');
    await page.locator('.privacy summary').click();
    expect(await page.textContent('.privacy')).toMatch(
      /0 bytes\s+sent.*to https:\/\/huggingface\.co.*huggingface\.co: \d+ requests, 0 bytes/s,
    );
    expect(problems.splice(0)).toEqual([]);

    const outcome = (address: string): string =>
      `fetch(${JSON.stringify(address)}).then(({ status }) => String(status), (error) => error.name)`;
    const trainer = page.workers().find((worker) => /trainerThread/.test(worker.url()));
    const config = 'https://huggingface.co/tiny/llama/resolve/0123456789abcdef0123456789abcdef01234567/config.json';
    expect(await trainer?.evaluate(outcome(config))).toBe('200');
    expect(await trainer?.evaluate(outcome('https://elsewhere.test/'))).toBe('TypeError');
    expect(await page.evaluate(outcome(config))).toBe('TypeError');
    expect(problems.splice(0).join('\n')).toMatch(/Content Security Policy/);

    // What was downloaded is kept: after a reload it answers without a network.
    await page.waitForFunction(() => /offline/.test(document.querySelector('.privacy summary')?.textContent ?? ''));
    await context.setOffline(true);
    await page.reload();
    await page.waitForSelector('.table textarea');
    const [, again] = await ask(page, 'Prompt', 'user: What is red?\nassistant: ');
    expect(again).toMatch(/arr/);
    await context.close();
  },
  4 * minute,
);

test(
  'a model below an address, and one of picked files: each with its fit, and trained to the same losses',
  async () => {
    await using plain = await hubServer(files);
    const { page, context, problems } = await visit(on);
    await page.selectOption('#device', 'cpu');
    await pasteRows(page, '{"prompt": "a b c", "completion": " d e"}\n{"prompt": "c b a", "completion": " e d"}\n');
    await fill(page, { ...small, Steps: '3', 'Prompt to watch': '' });
    const lossOf = async (): Promise<string | null> => {
      await page.getByRole('button', { name: /^Train( again)?$/ }).click();
      await untilStatus(page, /is done: 3 steps/);
      return page.locator('.figures div', { hasText: 'Loss' }).first().locator('dd').textContent();
    };
    await page.getByLabel('From another address').check();
    await page.getByLabel('Address of the model’s folder').fill(`${plain.url}/plain`);
    await page.getByLabel('Address of the model’s folder').blur();
    expect(await fitOf(page)).toMatch(/It fits: .*, 1(\.\d)? MB to fetch/);
    const ofAddress = await lossOf();
    await page.getByLabel('A folder of this device').check();
    await page
      .getByLabel('Files of the model')
      .setInputFiles(
        Object.entries(files).map(([name, buffer]) => ({ name, mimeType: 'application/octet-stream', buffer })),
      );
    expect(await fitOf(page)).toMatch(/It fits: /);
    expect(await lossOf()).toBe(ofAddress);
    expect(problems).toEqual([]);
    await context.close();
  },
  4 * minute,
);
