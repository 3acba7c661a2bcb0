import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { expectLikeTransformers, readGolden, templateOf } from './testing/chatGolden.js';
import type { ChatCase } from './testing/chatGolden.js';

const folder = fileURLToPath(new URL('../../../../shared/data/chatTemplates/', import.meta.url));

describe.runIf(existsSync(folder))(
  'templates of well-known models: text, tokens and masks are those of transformers',
  () => {
    const { cases } = readGolden<{ cases: Record<string, ChatCase[]> }>('chatShared.json');

    it('there is an answer for each of them', () => {
      expect(Object.keys(cases).sort()).toEqual(
        readdirSync(folder)
          .filter((name) => name.endsWith('.jinja'))
          .map((name) => name.slice(0, -6))
          .sort(),
      );
    });

    describe.each(Object.entries(cases))('%s', (name, asked) => {
      const template = templateOf(readFileSync(`${folder}${name}.jinja`, 'utf8'));
      it.each(
        asked.map(
          (each) =>
            [
              `${each.chat} ${Object.keys(each)
                .filter((key) => !/text|ids|mask|error|chat/.test(key))
                .join(' ')}`,
              each,
            ] as const,
        ),
      )('%s', async (_, each) => {
        await expectLikeTransformers(template, each);
      });
    });
  },
);
