import type { StudyRow } from '../tables/table.js';
import { colorAt, element, lineThrough, textAt } from './svg.js';

/** Bars of one measure, one for each row. */
export interface BarGroup {
  readonly title: string;
  readonly of: (row: StudyRow) => number | null;
  readonly show: (value: number) => string;
}

const [rowHeight, barWidth, longest] = [28, 16, 200];

export function barHeight(rows: readonly StudyRow[]): number {
  return rowHeight * rows.length + 8;
}

/** Bars that begin at 0, with the row's label before and the value after. */
export function drawBars(rows: readonly StudyRow[], { of, show }: BarGroup): string[] {
  const largest = Math.max(...rows.map((row) => of(row) ?? 0));
  const bars = rows.flatMap((row, at) => {
    const value = of(row);
    const y = 4 + (at + 0.5) * rowHeight;
    const length = largest === 0 ? 0 : ((value ?? 0) / largest) * longest;
    return [
      textAt({ x: -8, y }, row.label, { anchor: 'end' }),
      element('rect', { x: 0, y: y - barWidth / 2, width: length, height: barWidth, fill: colorAt(at) }),
      textAt({ x: length + 5, y }, value === null ? withoutValue(row) : show(value)),
    ];
  });
  return [
    ...bars,
    lineThrough(
      [
        { x: 0, y: 0 },
        { x: 0, y: barHeight(rows) },
      ],
      { color: '#b5c0ca' },
    ),
  ];
}

function withoutValue({ error }: StudyRow): string {
  return error === null ? '–' : 'failed';
}
