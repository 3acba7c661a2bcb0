import { pythonSpace } from '../jinja/pythonText.js';

const space = new RegExp(`[${pythonSpace}]+`, 'u');

/** Words as Python's `str.split()` has them. */
export function splitWords(text: string): string[] {
  return text.split(space).filter((word) => word !== '');
}

/** How often each of the runs of `order` items occurs, by the items joined by a separator that none of them holds. */
export function countRuns(items: readonly string[], order: number, separator = ' '): Map<string, number> {
  const counts = new Map<string, number>();
  for (let at = 0; at + order <= items.length; at++) {
    const run = items.slice(at, at + order).join(separator);
    counts.set(run, (counts.get(run) ?? 0) + 1);
  }
  return counts;
}
