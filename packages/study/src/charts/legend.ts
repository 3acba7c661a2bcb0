import { circle, lineThrough, textAt, textWidth } from './svg.js';

export interface LegendEntry {
  readonly name: string;
  readonly color: string;
  readonly mark: 'dot' | 'line';
}

const lineHeight = 22;
const [markWidth, markGap, entryGap] = [20, 6, 18];

export interface Legend {
  readonly height: number;
  /** At its left and top. */
  readonly content: readonly string[];
}

/** Entries one after another, in as many lines as they need. */
export function legend(entries: readonly LegendEntry[], { width }: { readonly width: number }): Legend {
  let [x, line] = [0, 0];
  const content = entries.flatMap(({ name, color, mark }) => {
    const needed = markWidth + markGap + textWidth(name);
    if (x > 0 && x + needed > width) [x, line] = [0, line + 1];
    const [left, y] = [x, (line + 0.5) * lineHeight];
    x += needed + entryGap;
    return [
      ...(mark === 'line'
        ? [
            lineThrough(
              [
                { x: left, y },
                { x: left + markWidth, y },
              ],
              { color, width: 2 },
            ),
          ]
        : []),
      circle({ x: left + markWidth / 2, y }, 5, { fill: color }),
      textAt({ x: left + markWidth + markGap, y }, name),
    ];
  });
  return { height: entries.length === 0 ? 0 : (line + 1) * lineHeight, content };
}
