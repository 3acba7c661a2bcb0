/**
 * Matching without regard to case: what stands for one character. Oniguruma also folds one character to several (`ß`
 * and `ss`, `ﬁ` and `fi`); where an expression could meet that, there is no answer here and it is refused.
 */
const manyFold = ['ss', 'ff', 'fi', 'fl', 'st', "'n"];

/** The characters that equal one; `next` is what follows in the expression. */
export function foldedLiteral(character: string, next: string): string[] | undefined {
  const pair = (character + next.slice(0, 1)).toLowerCase();
  if (manyFold.includes(pair)) return undefined;
  return foldsOf(character);
}

/** A range and all that equals something of it, as ranges. */
export function foldedClass(from: string, to: string): [string, string][] | undefined {
  const [low, high] = [from.codePointAt(0) ?? 0, to.codePointAt(0) ?? 0];
  if (high - low > 2000) return undefined;
  const ranges: [string, string][] = [[from, to]];
  for (let code = low; code <= high; code++) {
    const character = String.fromCodePoint(code);
    const folds = foldsOf(character);
    if (folds === undefined) return undefined;
    for (const fold of folds) if (fold !== character) ranges.push([fold, fold]);
  }
  return ranges;
}

const ascii: Readonly<Record<string, string>> = { k: '\u212a', s: '\u017f' };

function foldsOf(character: string): string[] | undefined {
  const lower = character.toLowerCase();
  const upper = character.toUpperCase();
  if (Array.from(lower).length > 1 || Array.from(upper).length > 1) return undefined;
  const folds = new Set([character, lower, upper]);
  const extra = ascii[lower];
  if (extra !== undefined) folds.add(extra);
  // Three letters share a fold here and there (å and the Ångström sign): JavaScript's own folding finds them.
  if (character > '\x7f')
    for (const sign of ['\u212b', '\u2126', '\u1e9e', '\u00b5', '\u03c2', '\u03d0'])
      if (new RegExp(`^${character}$`, 'iu').test(sign)) folds.add(sign);
  return [...folds];
}
