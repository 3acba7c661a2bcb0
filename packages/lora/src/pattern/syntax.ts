import type { CharacterTest } from './characters.js';

/** Places that match no character. */
export type PatternPlace = 'start' | 'lineStart' | 'end' | 'lineEnd' | 'lastLine' | 'wordEdge' | 'noWordEdge';

/** A parsed pattern. */
export type Syntax =
  | { readonly type: 'character'; readonly test: CharacterTest; readonly literal?: string | undefined }
  | { readonly type: 'place'; readonly place: PatternPlace; readonly ascii: boolean }
  | { readonly type: 'sequence'; readonly items: readonly Syntax[] }
  | { readonly type: 'choice'; readonly branches: readonly Syntax[] }
  | {
      readonly type: 'repeat';
      readonly item: Syntax;
      readonly min: number;
      readonly max: number;
      readonly lazy: boolean;
    }
  | { readonly type: 'group'; readonly item: Syntax; readonly index: number }
  | { readonly type: 'reference'; readonly index: number; readonly ignoreCase: boolean }
  | { readonly type: 'atomic'; readonly item: Syntax }
  | {
      readonly type: 'look';
      readonly item: Syntax;
      readonly negative: boolean;
      /** How far behind it begins; undefined to look ahead. */
      readonly behind: number | undefined;
    };

/** What is wrong with a pattern, in the words of Python's `re.error` where Python refuses it too. */
export class PatternError extends Error {}

/** How many characters a pattern matches, at least and at most. */
export function widthOf(syntax: Syntax): [least: number, most: number] {
  switch (syntax.type) {
    case 'character':
      return [1, 1];
    case 'place':
    case 'look':
      return [0, 0];
    case 'sequence':
      return syntax.items.map(widthOf).reduce((sum, width) => [sum[0] + width[0], sum[1] + width[1]], [0, 0]);
    case 'choice': {
      const widths = syntax.branches.map(widthOf);
      return [Math.min(...widths.map(([least]) => least)), Math.max(...widths.map(([, most]) => most))];
    }
    case 'repeat': {
      const [least, most] = widthOf(syntax.item);
      return [least * syntax.min, most === 0 ? 0 : most * syntax.max];
    }
    case 'group':
    case 'atomic':
      return widthOf(syntax.item);
    case 'reference':
      return [0, Infinity];
  }
}
