import { LowrankError } from '@lowrank/errors';
import type { TextRow } from './textRow.js';

/**
 * Rows of text as prompt and completion: the prompt ends with the last occurrence of `marker`, the completion is what
 * follows, so that the loss is on that alone. Spaces at the end of the marker go to the completion, since tokenizers
 * make one token of a space and the word behind it. Rows of other forms stay as they are.
 *
 * @throws LowrankError `data.completionAfter`: an empty marker, or rows of text without it, by their lines
 */
export function splitAfter(
  rows: readonly TextRow[],
  { marker, name = 'data' }: { readonly marker: string; readonly name?: string },
): TextRow[] {
  if (marker === '')
    throw new LowrankError({
      code: 'data.completionAfter',
      what: 'the text that completions come after',
      expected: 'at least one character',
      got: 'none',
    });
  const spaces = marker.length - marker.trimEnd().length;
  const movable = /^ +$/.test(marker.slice(marker.length - spaces)) ? spaces : 0;
  const missing: number[] = [];
  const split = rows.map((row): TextRow => {
    if (!('text' in row)) return row;
    const at = row.text.lastIndexOf(marker);
    if (at < 0) missing.push(row.line);
    const border = at + marker.length - (movable < marker.length ? movable : 0);
    return { line: row.line, prompt: row.text.slice(0, border), completion: row.text.slice(border) };
  });
  const [first, ...others] = missing;
  if (first === undefined) return split;
  const also =
    others.length === 0
      ? ''
      : ` ${missing.length} rows are without it; the others: ` +
        `${others.slice(0, 20).join(', ')}${others.length > 20 ? ', …' : ''}.`;
  throw new LowrankError({
    code: 'data.completionAfter',
    what: `${name}, line ${first}`,
    expected: `a text with ${JSON.stringify(marker)} in it, behind which the completion comes`,
    got: 'one without',
    remedy: `Mend the row, or choose another marker.${also}`,
  });
}
