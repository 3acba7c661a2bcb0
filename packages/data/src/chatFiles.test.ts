import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { readChatTemplate } from './chatFiles.js';
import { complaint } from './testing.js';

const folder = mkdtempSync(join(tmpdir(), 'lowrank-chat-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const config = (value: object): void =>
  writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify({ bos_token: { content: '<s>' }, ...value }));
const rendered = async (options: { file?: string } = {}, tools?: []): Promise<string | undefined> =>
  (await readChatTemplate(folder, options))?.render([{ role: 'user', content: 'x' }], { tools }).text;

it('is looked for in chat_template.jinja, then in tokenizer_config.json, and knows the special tokens', async () => {
  expect(await rendered()).toBeUndefined();
  config({});
  expect(await rendered()).toBeUndefined();
  config({ chat_template: '{{ bos_token }}one {{ messages[0].content }}' });
  expect(await rendered()).toBe('<s>one x');
  config({
    chat_template: [
      { name: 'default', template: 'default' },
      { name: 'tool_use', template: 'tools' },
    ],
  });
  expect([await rendered(), await rendered({}, [])]).toEqual(['default', 'tools']);
  writeFileSync(join(folder, 'chat_template.jinja'), 'file {{ bos_token }}{{ eos_token }}\n');
  expect(await rendered()).toBe('file <s>');
  writeFileSync(join(folder, 'other.jinja'), 'other');
  expect(await rendered({ file: join(folder, 'other.jinja') })).toBe('other');
});

it('what is none is refused', async () => {
  expect(await complaint(() => rendered({ file: join(folder, 'nowhere.jinja') }))).toMatchObject({
    code: 'data.missing',
    message: expect.stringContaining('nowhere.jinja') as string,
  });
  writeFileSync(join(folder, 'chat_template.jinja'), '{% if %}');
  expect(await complaint(rendered)).toMatchObject({
    code: 'data.chatTemplate',
    message: expect.stringContaining('chat_template.jinja: expected a Jinja template') as string,
  });
  rmSync(join(folder, 'chat_template.jinja'));
  config({ chat_template: [{ name: 'default' }] });
  expect(await complaint(rendered)).toMatchObject({
    code: 'data.chatTemplate',
    message: expect.stringContaining('a list of {"name", "template"}') as string,
  });
});
