import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { readChatTemplate } from './chatFiles.js';
import type { ChatMessage } from './chatTemplate.js';
import { encodeChat } from './chatEncode.js';
import { encodeRow } from './encodeRow.js';
import { readTokenizer } from './files.js';
import { parseJsonWithFloats } from './jsonFloats.js';

interface ChatAnswer {
  text: string;
  ids: number[];
  mask?: number[];
  error?: string;
}

interface Folder {
  base: string;
  json?: object;
  config: object;
  template?: string;
  files?: Record<string, unknown>;
  want: {
    size: number;
    named: Record<string, string>;
    texts: { ids: number[] }[];
    pairs: { ids: number[]; masked: number }[];
    decoded: string[];
    chats?: ChatAnswer[];
  };
}

const parity = fileURLToPath(new URL('../../../parity/golden/', import.meta.url));
const golden = parseJsonWithFloats(readFileSync(`${parity}text/rows.json`, 'utf8')) as {
  texts: string[];
  pairs: [string, string][];
  chats: ChatMessage[][];
  tools: Record<string, unknown>[];
  folders: Record<string, Folder>;
};

const home = mkdtempSync(join(tmpdir(), 'lowrank-folders-'));
afterAll(() => rmSync(home, { recursive: true, force: true }));

function write(name: string, { base, json, config, template, files = {} }: Folder): string {
  const source = JSON.parse(readFileSync(`${parity}tokenizers/${base}/tokenizer.json`, 'utf8')) as object;
  const contents: Record<string, unknown> = {
    'tokenizer.json': { ...source, ...json },
    'tokenizer_config.json': config,
    ...(template === undefined ? {} : { 'chat_template.jinja': template }),
    ...files,
  };
  for (const [file, content] of Object.entries(contents)) {
    const path = join(home, name, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  }
  return join(home, name);
}

describe.each(Object.entries(golden.folders))('%s: as transformers and TRL (parity/textRows.py)', (name, folder) => {
  const path = write(name, folder);
  const { want } = folder;

  it('special tokens, rows, masks and texts', async () => {
    const tokenizer = await readTokenizer(path);
    expect(tokenizer.specialTokens).toEqual(want.named);
    golden.texts.forEach((text, at) => {
      const { ids } = encodeRow({ line: 1, text }, tokenizer);
      expect([text, Array.from(ids)]).toEqual([text, want.texts[at]?.ids]);
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(want.decoded[at]);
    });
    golden.pairs.forEach(([prompt, completion], at) => {
      const { ids, labels } = encodeRow({ line: 1, prompt, completion }, tokenizer);
      const { ids: wanted = [], masked = 0 } = want.pairs[at] ?? {};
      expect([prompt, Array.from(ids)]).toEqual([prompt, wanted]);
      expect(Array.from(labels)).toEqual(wanted.map((id, place) => (place < masked ? -100 : id)));
    });
  });

  // Some folders have no template.
  if (want.chats === undefined) return;
  it('chats', async () => {
    const tokenizer = await readTokenizer(path);
    const template = await readChatTemplate(path);
    if (template === undefined) return expect.fail('no template');
    const asked = golden.chats.flatMap((messages) => [undefined, golden.tools].map((tools) => ({ messages, tools })));
    asked.forEach(({ messages, tools }, at) => {
      const answer = want.chats?.[at];
      if (answer === undefined || answer.error !== undefined) return;
      expect(template.render(messages, { tools }).text).toBe(answer.text);
      if (answer.mask === undefined) return expect(tokenizer.encodeWithSpans(answer.text).ids).toEqual(answer.ids);
      const { ids, mask } = encodeChat(messages, { template, tokenizer, tools });
      expect([ids, mask.map(Number)]).toEqual([answer.ids, answer.mask]);
    });
  });
});
