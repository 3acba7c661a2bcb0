import type { TextRow } from './textRow.js';
import { shuffled } from './random.js';

/** Rows that ask the same: several completions of one prompt. */
export type PromptGroup = readonly [TextRow, ...TextRow[]];

/**
 * The rows by prompt, each group where its first row was. Of a chat the prompt is the messages that the row says, or
 * all
 * but the last; a plain text is its own.
 */
export function groupByPrompt(rows: readonly TextRow[]): PromptGroup[] {
  const groups = new Map<string, [TextRow, ...TextRow[]]>();
  for (const row of rows) {
    const key = promptKey(row);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [row]);
    else group.push(row);
  }
  return [...groups.values()];
}

/** `count` of the groups, drawn by the seed alone, in the order of the file; all of them where there are no more. */
export function samplePrompts(
  groups: readonly PromptGroup[],
  { count, seed }: { readonly count: number; readonly seed: number },
): PromptGroup[] {
  if (groups.length <= count) return [...groups];
  const chosen = new Set(shuffled(groups.length, { seed: seed >>> 0, stream: 1 }).subarray(0, count));
  return groups.filter((_, at) => chosen.has(at));
}

/** What a row asks, as a text by which rows that ask the same are told. */
export function promptKey(row: TextRow): string {
  if ('text' in row) return `text ${row.text}`;
  const prompt = 'messages' in row ? row.messages.slice(0, row.promptMessages ?? -1) : row.prompt;
  if (typeof prompt === 'string') return `prompt ${prompt}`;
  return `messages ${JSON.stringify([prompt, 'tools' in row ? row.tools : undefined])}`;
}
