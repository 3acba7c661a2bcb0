import type { TextTokenizer } from '@lowrank/data';
import { recordsOf } from '@lowrank/data';
import { expect, test } from 'vitest';
import { encodeTaskRows, readTaskRows } from './taskRows.js';
import { taskNamed } from './tasks.js';

/** As SmolLM2's: a token for each character, and none around them. */
const bare = {
  encode: (text: string) => Array.from(text, () => 1),
  assemble: (first: readonly number[]) => ({ ids: [...first], types: first.map(() => 0), starts: [0] }),
} as unknown as TextTokenizer;

test('a text without a token is an error with its line: a head would read the row before it', async () => {
  const task = taskNamed('text-classification');
  const labels = { names: ['a', 'b'], problem: 'single_label_classification' } as const;
  const context = { tokenizer: bare, labels, maxLength: 8, options: {} };
  const rows = async (...texts: readonly string[]) =>
    readTaskRows(task, await recordsOf(texts.map((text) => ({ text }))), true);
  expect((await encodeTaskRows(task, await rows('abc', ' '), context)).map(({ ids }) => ids.length)).toEqual([3, 1]);
  await expect(encodeTaskRows(task, await rows('abc', ''), context)).rejects.toThrow(
    /line 2: expected a text with at least one token.*got an empty text/,
  );
});
