import { format, metricTitles } from '../tables/format.js';
import type { StudyRow, StudyTable } from '../tables/table.js';
import { linearAxis, logAxis, shortCount } from './axis.js';
import type { LabelledPoint, LabelPlace } from './labelPlaces.js';
import { labelDistance, labelPlaces } from './labelPlaces.js';
import type { Panel } from './panel.js';
import { drawPanel, pointIn } from './panel.js';
import { circle, lineThrough, textAt } from './svg.js';
import { strong } from './theme.js';

export const scorePanelSize = { width: 450, height: 340 };

/** Points of one colour: a method, or all that a sweep varies but the rank. */
export interface PointGroup {
  readonly name: string;
  readonly color: string;
  readonly points: readonly { readonly row: StudyRow; readonly label: string }[];
}

/** What the score is drawn against. */
export interface ScorePanel {
  /** What follows “by”. */
  readonly title: string;
  readonly name: string;
  readonly of: (row: StudyRow) => number | null;
  readonly isLog: boolean;
}

interface Dot {
  readonly group: PointGroup;
  readonly label: string;
  readonly isBest: boolean;
  readonly x: number;
  readonly y: number;
  /** One standard deviation; 0 with one seed. */
  readonly deviation: number;
}

/** A dot on the panel, in pixels. */
type PlacedDot = Dot & { readonly pixel: LabelledPoint };

/**
 * Points of each group, joined by rank in a sweep, with a bar of one standard deviation to each side where there are
 * several seeds.
 */
export function drawScores(
  groups: readonly PointGroup[],
  subject: ScorePanel,
  { left, top, table }: { readonly left: number; readonly top: number; readonly table: StudyTable },
): string {
  const dots = groups.flatMap((group) => dotsOf(group, subject, table));
  const panel: Panel = { left, top, ...scorePanelSize, ...axesOf(dots, subject, table) };
  const placed = dots.map((dot): PlacedDot => {
    const { x, y } = pointIn(panel, [dot.x, dot.y]);
    return { ...dot, pixel: { x, y, reach: y - panel.y.axis.at(dot.y + dot.deviation), text: dot.label } };
  });
  // Time jumps back and forth between ranks: only parameters make a line.
  const isLine = table.study === 'sweep' && subject.isLog;
  const lines = isLine ? groups.map((group) => ({ group, path: pathOf(placed, group) })) : [];
  const places = labelPlaces(
    placed.map(({ pixel }) => pixel),
    { ...scorePanelSize, paths: lines.map(({ path }) => path) },
  );
  return drawPanel(panel, [
    ...lines.map(({ group, path }) => lineThrough(path, { color: group.color, width: 2 })),
    ...placed.flatMap(({ pixel, group, deviation }) => (deviation > 0 ? deviationBar(pixel, group.color) : [])),
    ...placed.map(drawDot),
    ...placed.flatMap(({ pixel }, at) => drawLabel(pixel, places[at])),
  ]);
}

/** A point for each row that has a score. */
function dotsOf(group: PointGroup, { of }: ScorePanel, { metrics: [metric = 'loss'], best }: StudyTable): Dot[] {
  const factor = metric === 'loss' ? 1 : 100;
  return group.points.flatMap(({ row, label }): Dot[] => {
    const [x, score] = [of(row), row.scores[metric]];
    if (x === null || score === undefined) return [];
    const [y, deviation] = [score.mean * factor, (score.deviation ?? 0) * factor];
    return [{ group, label, isBest: row.label === best, x, y, deviation }];
  });
}

function axesOf(
  dots: readonly Dot[],
  { name, isLog }: ScorePanel,
  { metrics: [metric = 'loss'] }: StudyTable,
): Pick<Panel, 'x' | 'y'> {
  const { width, height } = scorePanelSize;
  const xs = dots.map(({ x }) => x);
  const ys = dots.flatMap(({ y, deviation }) => [y - deviation, y + deviation]);
  const x = isLog
    ? logAxis(xs, { range: [0, width], format: shortCount })
    : linearAxis(xs, { range: [0, width], floor: 0, format: format.count });
  const direction = metric === 'loss' ? 'less' : 'more';
  return {
    x: { axis: x, name, gap: 40 },
    y: {
      axis: linearAxis(ys, { range: [height, 0] }),
      name: `${metricTitles[metric]} (${direction} is better)`,
      gap: 54,
    },
  };
}

function pathOf(placed: readonly PlacedDot[], group: PointGroup): LabelledPoint[] {
  return placed.filter((dot) => dot.group === group).map(({ pixel }) => pixel);
}

function deviationBar({ x, y, reach }: LabelledPoint, color: string): string[] {
  const stroke = { color, width: 1.5 };
  const [above, below] = [y - reach, y + reach];
  const cap = (at: number): string =>
    lineThrough(
      [
        { x: x - 5, y: at },
        { x: x + 5, y: at },
      ],
      stroke,
    );
  return [
    lineThrough(
      [
        { x, y: above },
        { x, y: below },
      ],
      stroke,
    ),
    cap(above),
    cap(below),
  ];
}

function drawDot({ pixel, group, isBest }: PlacedDot): string {
  const stroke = { color: strong, width: 2 };
  return isBest ? circle(pixel, 7, { fill: group.color, stroke }) : circle(pixel, 5, { fill: group.color });
}

/** Nothing where no side has room. */
function drawLabel({ x, y, reach, text }: LabelledPoint, place: LabelPlace | undefined): string[] {
  const [aside, clear] = [labelDistance + 5, reach + labelDistance + 6];
  switch (place) {
    case 'right':
      return [textAt({ x: x + aside, y }, text)];
    case 'left':
      return [textAt({ x: x - aside, y }, text, { anchor: 'end' })];
    case 'top':
      return [textAt({ x, y: y - clear }, text, { anchor: 'middle' })];
    case 'bottom':
      return [textAt({ x, y: y + clear }, text, { anchor: 'middle' })];
    case undefined:
      return [];
  }
}
