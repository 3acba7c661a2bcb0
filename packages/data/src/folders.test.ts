import { describe, expect, it } from 'vitest';
import { readChatTemplate } from './chatFiles.js';
import type { ChatMessage } from './chat.js';
import { encodeChat } from './chatEncode.js';
import { encodeRow } from './encodeRow.js';
import { readTokenizer } from './files.js';
import type { GoldenFolder } from './testing/goldenFolders.js';
import { readGoldenText, writeGoldenFolder } from './testing/goldenFolders.js';

interface ChatAnswer {
  text: string;
  ids: number[];
  mask?: number[];
  error?: string;
}

interface Folder extends GoldenFolder {
  want: {
    size: number;
    named: Record<string, string>;
    texts: { ids: number[] }[];
    pairs: { ids: number[]; masked: number }[];
    decoded: string[];
    chats?: ChatAnswer[];
  };
}

const golden = readGoldenText<{
  texts: string[];
  pairs: [string, string][];
  chats: ChatMessage[][];
  tools: Record<string, unknown>[];
  folders: Record<string, Folder>;
}>('rows');

interface ClassFolder extends GoldenFolder {
  want: { size: number; named: Record<string, string>; ids: number[][]; decoded: string[] };
}
const classes = readGoldenText<{ texts: string[]; folders: Record<string, ClassFolder> }>('classes');

it.each(Object.entries(classes.folders))(
  '%s: a class that builds its pipeline anew (parity/textClasses.py)',
  async (name, folder) => {
    const tokenizer = await readTokenizer(writeGoldenFolder(`class ${name}`, folder));
    const { size, named, ids, decoded } = folder.want;
    expect([tokenizer.vocabularySize, tokenizer.specialTokens]).toEqual([size, named]);
    expect(tokenizer.warnings.filter((text) => text.includes('not known'))).toEqual([]);
    classes.texts.forEach((text, at) => {
      expect([text, tokenizer.encode(text)]).toEqual([text, ids[at]]);
      expect([text, tokenizer.decode(ids[at] ?? [])]).toEqual([text, decoded[at]]);
    });
  },
);

describe.each(Object.entries(golden.folders))('%s: as transformers and TRL (parity/textRows.py)', (name, folder) => {
  const path = writeGoldenFolder(name, folder);
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
