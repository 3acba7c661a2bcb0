import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { parseJsonWithFloats } from '../jsonFloats.js';
import { Template } from './template.js';

interface Case {
  source: string;
  chat: number;
  text?: string;
  /** In code points. */
  spans?: [number, number][];
  error?: string;
}

const path =
  process.env['LOWRANK_TEMPLATE_CASES'] ??
  fileURLToPath(new URL('../../../../parity/golden/text/templates.json', import.meta.url));
const { cases, chats, variables } = parseJsonWithFloats(readFileSync(path, 'utf8')) as {
  cases: Case[];
  chats: Record<string, unknown>[][];
  variables: object;
};
const messages = chats.map((chat) =>
  chat.map((message) => Object.fromEntries(Object.entries(message).filter(([, value]) => value !== null))),
);

/** What the template writes; undefined where it is refused as not known here. */
function written({ source, chat }: Case): { text: string; spans: number[][] } | string | undefined {
  const given = { ...variables, messages: messages[chat], tools: null, documents: null, add_generation_prompt: false };
  try {
    const { text, generated } = new Template(source).render(given, new Date(0));
    return { text, spans: generated.map(({ start, end }) => [start, end]) };
  } catch (error) {
    const message = String(error);
    return message.includes('not known here') ? undefined : message;
  }
}

it(
  'random templates write what jinja2 writes, are refused where it refuses, and few are not known ' +
    '(parity/textTemplates.py)',
  () => {
    let unknown = 0;
    for (const each of cases) {
      const result = written(each);
      if (result === undefined) unknown++;
      else if (each.error !== undefined) expect([each.source, typeof result]).toEqual([each.source, 'string']);
      else {
        expect([each.source, typeof result === 'string' ? result : result.text]).toEqual([each.source, each.text]);
        // Code points and units are the same where no character takes two.
        const isPlain = !/[\ud800-\udfff]/.test(each.text ?? '');
        if (isPlain && typeof result !== 'string' && each.source.includes('generation'))
          expect([each.source, result.spans]).toEqual([each.source, each.spans]);
      }
    }
    expect(unknown).toBeLessThan(cases.length / 10);
  },
);
