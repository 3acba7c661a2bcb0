import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { encodeChat } from './chatEncode.js';
import type { ChatMessage } from './chat.js';
import { chatTemplate } from './chatTemplate.js';
import { encodeRow } from './encodeRow.js';
import { readTextRows, readTokenizer } from './files.js';
import { parseJsonWithFloats } from './jsonFloats.js';

const shared = fileURLToPath(new URL('../../../../shared/data/', import.meta.url));
const path = fileURLToPath(new URL('../../../parity/golden/text/sharedRows.json', import.meta.url));

interface Place {
  pairs?: string;
  /** By template, for each chat without tools and with. */
  chats: Record<string, string[]>;
}

const digest = (value: unknown): string =>
  createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 16);

describe.runIf(existsSync(shared))(
  'every tokenizer with every template: ids and masks are those of TRL and transformers',
  () => {
    const golden = parseJsonWithFloats(readFileSync(path, 'utf8')) as {
      /** When it was made: a template may write the date. */
      day: string;
      chats: ChatMessage[][];
      tools: Record<string, unknown>[];
      places: Record<string, Place>;
    };

    beforeAll(() => void vi.useFakeTimers({ toFake: ['Date'], now: new Date(`${golden.day}T12:00:00`) }));
    afterAll(() => void vi.useRealTimers());

    it.each(Object.entries(golden.places))('%s', async (place, want) => {
      const tokenizer = await readTokenizer(shared + place);
      if (want.pairs !== undefined) {
        const rows = (await readTextRows(`${shared}datasets/e2e-nlg/train.jsonl`)).slice(0, 40);
        const found = rows.map((row) => {
          const { ids, labels } = encodeRow(row, tokenizer);
          return [Array.from(ids), labels.filter((label) => label === -100).length];
        });
        expect(digest(found)).toBe(want.pairs);
      }
      for (const [name, answers] of Object.entries(want.chats)) {
        const template = chatTemplate(readFileSync(`${shared}chatTemplates/${name}.jinja`, 'utf8'), {
          specialTokens: tokenizer.specialTokens,
        });
        const found = golden.chats.flatMap((messages) =>
          [undefined, golden.tools].map((tools) => {
            try {
              const { text } = template.render(messages, { tools });
              if (!template.marksGeneration({ tools })) return digest([tokenizer.encodeWithSpans(text).ids, null]);
              const { ids, mask } = encodeChat(messages, { template, tokenizer, tools });
              return digest([ids, mask.map(Number)]);
            } catch {
              return 'error';
            }
          }),
        );
        expect([name, found]).toEqual([name, answers]);
      }
    });
  },
);
