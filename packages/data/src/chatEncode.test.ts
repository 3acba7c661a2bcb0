import { describe, expect, it } from 'vitest';
import { encodeChat } from './chatEncode.js';
import { golden, goldenTokenizer, optionsOf, templateOf } from './testing/chatGolden.js';
import type { ChatMessage } from './chat.js';
import { chatTemplate as templateFrom } from './chatTemplate.js';
import { loadDataset } from './dataset.js';
import { encodeRow } from './encodeRow.js';
import { readTokenizer } from './files.js';
import { parseJsonl } from './readRows.js';
import type { GoldenFolder } from './testing/goldenFolders.js';
import { readGoldenText, writeGoldenFolder } from './testing/goldenFolders.js';
import { complaint, tinyTokenizer } from './testing.js';

const tokenizer = goldenTokenizer('bytes');
const marked = templateOf(golden.templates['marked'] ?? '');
const plain = templateOf(golden.templates['plain'] ?? '');

/** What the mask covers, piece by piece. */
function written(messages: readonly ChatMessage[], template = plain): string[] {
  const { ids, mask } = encodeChat(messages, { template, tokenizer });
  const pieces: string[] = [];
  ids.forEach((id, at) => {
    if (mask[at] !== true) return;
    if (mask[at - 1] !== true) pieces.push('');
    pieces[pieces.length - 1] += tokenizer.decode([id], { skipSpecialTokens: false });
  });
  return pieces;
}

describe('a template without marks: what an assistant wrote is what its turn adds', () => {
  it('turn by turn, the end of the turn included', () => {
    expect(written(golden.chats['answered'] ?? [])).toEqual(['Hi! How are you?<|im_end|>\n']);
    expect(written(golden.chats['turns'] ?? []).length).toBe(3);
    expect(written(golden.chats['turns'] ?? [])[2]).toBe('Bye.<|im_end|>\n');
    expect(written(golden.chats['turn'] ?? [])).toEqual([]);
  });

  it('agrees with marks where both are there, but for the newline behind the mark', () => {
    for (const chat of ['answered', 'turns', 'open'])
      expect(written(golden.chats[chat] ?? [])).toEqual(
        written(golden.chats[chat] ?? [], marked).map((text) => `${text}\n`),
      );
  });

  it('prefixes that do not nest are told', async () => {
    // The last turn is written otherwise: thoughts are kept in it alone.
    const forgetful = templateOf(
      '{% for m in messages %}{{ m.role }}:{{ "(thinks)" if loop.last and m.role == "assistant" else "" }}{{ ' +
        'm.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}',
    );
    expect(written(golden.chats['answered'] ?? [], forgetful)).toEqual(['(thinks)Hi! How are you?\n']);
    const { code, message } = await complaint(() => written(golden.chats['turns'] ?? [], forgetful));
    expect(code).toBe('data.chatPrefix');
    expect(message).toMatch(/message 3 in the chat template: .*prefixes do not nest.*generation/);
  });
});

describe('prompts and completions that are lists of messages: as TRL (parity/textCompletions.py)', () => {
  const rows = readGoldenText<{ folders: Record<string, GoldenFolder> }>('rows');
  const made = readGoldenText<{
    templates: Record<string, string>;
    rows: { prompt: ChatMessage[]; completion: ChatMessage[]; tools?: Record<string, unknown>[] }[];
    folders: Record<string, Record<string, { ids: number[]; masked: number; prompt: number }[]>>;
  }>('completions');

  it.each(Object.entries(made.folders))('%s', async (name, wanted) => {
    const own = rows.folders[name];
    if (own === undefined) return expect.fail('no such folder');
    const folder = await readTokenizer(writeGoldenFolder(name, own));
    for (const [template, source] of Object.entries(made.templates)) {
      const chatTemplate = templateFrom(source, { specialTokens: folder.specialTokens });
      const encoded = (await parseJsonl(made.rows.map((row) => JSON.stringify(row)).join('\n'))).map((row) =>
        encodeRow(row, folder, { chatTemplate }),
      );
      const found = encoded.map(({ ids, labels, promptIsPrefix }) => [[...ids], [...labels], promptIsPrefix]);
      const want = wanted[template]?.map(({ ids, masked, prompt }) => [
        ids,
        ids.map((id, at) => (at < masked ? -100 : id)),
        masked === prompt,
      ]);
      expect([template, found]).toEqual([template, want]);
    }
  });
});

describe('rows of messages', () => {
  it('are learned whole where that is asked for, as their completions are', () => {
    const messages = [
      { role: 'user', content: 'q' },
      { role: 'assistant', content: 'a' },
    ];
    const learned = (options: object, row: object = {}): number =>
      encodeRow({ line: 1, messages, ...row }, tokenizer, { chatTemplate: marked, ...options }).labelTokens;
    const all = encodeRow({ line: 1, messages }, tokenizer, { chatTemplate: marked }).ids.length - 1;
    expect([learned({}), learned({ assistantOnlyLoss: false })]).toEqual([expect.toSatisfy((n) => n < all), all]);
    const completion = { promptMessages: 1 };
    expect(learned({ assistantOnlyLoss: false }, completion)).toBe(learned({}, completion));
    expect(learned({ completionOnlyLoss: false }, completion)).toBe(all);
  });

  it('carry labels on what assistants say, and on nothing else', () => {
    const messages = golden.chats['call'] ?? [];
    const row = encodeRow({ line: 7, messages, tools: golden.tools }, tokenizer, { chatTemplate: marked });
    const { ids, mask } = encodeChat(messages, {
      template: marked,
      tokenizer,
      ...optionsOf({ chat: 'call', tools: true }),
    });
    expect([...row.ids]).toEqual(ids);
    expect([...row.labels]).toEqual(ids.map((id, at) => (mask[at] === true ? id : -100)));
    expect(row).toMatchObject({ line: 7, labelTokens: mask.filter(Boolean).length, fullLength: ids.length });
    const cut = encodeRow({ line: 7, messages }, tokenizer, { chatTemplate: marked, maxLength: 12 });
    expect([cut.ids.length, cut.fullLength]).toEqual([12, ids.length]);
  });

  it('are read from JSONL, beside other rows; those without a turn of an assistant are dropped', async () => {
    const lines = [
      { messages: golden.chats['answered'] },
      { messages: golden.chats['turn'] },
      { prompt: 'a', completion: 'b' },
      { messages: golden.chats['call'], tools: golden.tools },
    ];
    const data = await loadDataset(lines.map((line) => JSON.stringify(line)).join('\n'), tokenizer, {
      chatTemplate: marked,
    });
    expect(data.rows.map(({ line }) => line)).toEqual([1, 3, 4]);
    expect(data.droppedLines).toEqual([2]);
  });

  it.each([
    ['{"messages": []}', /expected a list of objects with a "role" as "messages", got \[\]/],
    ['{"messages": [{"content": "x"}]}', /expected a list of objects with a "role"/],
    [
      '{"messages": [{"role": "user", "content": "x"}], "tools": {}}',
      /expected a list of JSON schemas as "tools", got \{\}/,
    ],
    [
      '{"messages": [{"role": "user", "content": "x"}], "prompt": "x"}',
      /got "messages", "prompt" together|got "prompt", "messages" together/,
    ],
  ])('%s is refused', async (line, words) => {
    const { message } = await complaint(() => loadDataset(line, tokenizer, { chatTemplate: marked }));
    expect(message).toMatch(words);
  });

  it('need a template', async () => {
    const { code, message } = await complaint(() =>
      encodeRow({ line: 3, messages: [{ role: 'user', content: 'x' }] }, tinyTokenizer()),
    );
    expect(code).toBe('data.noTemplate');
    expect(message).toMatch(/line 3: messages: expected a chat template.*chat_template\.jinja/);
  });
});
