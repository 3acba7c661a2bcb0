import { LowrankError } from '@lowrank/errors';
import type { TextRow } from './textRow.js';
import { groupByPrompt } from './promptGroups.js';
import { shuffled } from './random.js';

/** One side of a cut through a file's rows: plain numbers and words, so that any process makes the same cut. */
export interface RowPart {
  /** Rows that are held out at least: whole prompts are taken until there are so many. */
  readonly rows: number;
  readonly seed: number;
  readonly part: 'held' | 'rest';
}

/**
 * One side of a cut, in the order of the file. Prompts are held out whole, drawn by the seed, so that nothing that is
 * asked on one side is asked on the other.
 *
 * @throws LowrankError `data.holdOut` where a side would be empty
 */
export function holdOut(rows: readonly TextRow[], { rows: count, seed, part }: RowPart, name = 'data'): TextRow[] {
  const groups = groupByPrompt(rows);
  const held = new Set<TextRow>();
  for (const at of shuffled(groups.length, { seed: seed >>> 0, stream: 2 })) {
    if (held.size >= count) break;
    groups[at]?.forEach((row) => held.add(row));
  }
  if (held.size === 0 || held.size === rows.length) {
    throw new LowrankError({
      code: 'data.holdOut',
      what: `${count} rows held out of ${name}`,
      expected: 'at least one, and others to learn from',
      got:
        `${rows.length} ${rows.length === 1 ? 'row' : 'rows'} of ${groups.length} ` +
        `${groups.length === 1 ? 'prompt' : 'prompts'}`,
      remedy: (names) => `Hold out fewer (of a study: ${names('holdOut')}, ${names('tuneRows')}), or give more data.`,
    });
  }
  return rows.filter((row) => held.has(row) === (part === 'held'));
}
