import { linearAxis, logAxis } from '../charts/axis.js';
import type { Panel } from '../charts/panel.js';
import { drawPanel, pointIn } from '../charts/panel.js';
import type { Stroke } from '../charts/svg.js';
import { circle, lineThrough, svgDocument, textAt } from '../charts/svg.js';
import { blue, ink, vermilion } from '../charts/theme.js';
import { metricTitles } from '../tables/format.js';
import type { IntrinsicTable } from './intrinsicTable.js';

const [width, height] = [860, 480];
const area = { left: 76, top: 56, width: 610, height: 364 };
/** Between the middles of two names, one below the other. */
const lineHeight = 15;

interface Point {
  readonly dimension: number;
  readonly score: number;
  /** Over seeds; 0 with one. */
  readonly deviation: number;
}

/** A score across the whole panel, with its name. */
interface Level {
  readonly score: number;
  readonly name: string;
  readonly stroke: Stroke;
}

/**
 * The metric over d on a logarithmic axis, with lines for the base model, full fine-tuning and 90% of it, and a mark at
 * d90.
 */
export function intrinsicChart(table: IntrinsicTable): string {
  const [metric = 'loss'] = table.metrics;
  const [points, levels] = [pointsOf(table), levelsOf(table)];
  const panel = panelOf(table, points, levels);
  const title = `${metricTitles[metric]} in random subspaces of dimension d`;
  const content = [
    ...levels.map(({ score, stroke }) => drawLevel(panel.y.axis.at(score), stroke)),
    ...nameLevels(panel, levels),
    ...drawD90(panel, table),
    lineThrough(
      points.map(({ dimension, score }) => pointIn(panel, [dimension, score])),
      { color: blue, width: 2 },
    ),
    ...points.flatMap((point) => drawPoint(panel, point)),
  ];
  return svgDocument({ width, height, label: title }, [
    textAt({ x: 64, y: 24 }, title, { size: 15, weight: 'bold' }),
    drawPanel(panel, content),
  ]);
}

/** Text metrics are shown in percent. */
function factorOf({ metrics: [metric] }: IntrinsicTable): number {
  return metric === undefined || metric === 'loss' ? 1 : 100;
}

function pointsOf(table: IntrinsicTable): Point[] {
  const [metric = 'loss'] = table.metrics;
  const factor = factorOf(table);
  return table.rows.flatMap(({ dimension, scores }) => {
    const spread = scores[metric];
    if (dimension === null || spread === undefined) return [];
    return [{ dimension, score: spread.mean * factor, deviation: (spread.deviation ?? 0) * factor }];
  });
}

/** None that is not known. */
function levelsOf(table: IntrinsicTable): Level[] {
  const [metric = 'loss'] = table.metrics;
  const scoreOf = (label: string): number | undefined => {
    const mean = table.rows.find((row) => row.label === label)?.scores[metric]?.mean;
    return mean === undefined ? undefined : mean * factorOf(table);
  };
  const [base, full] = [scoreOf('base'), scoreOf('full')];
  const level = (score: number | undefined, name: string, stroke: Stroke): Level[] =>
    score === undefined ? [] : [{ score, name, stroke: { width: 1.5, ...stroke } }];
  return [
    ...level(base, 'base model', { color: '#7a7a7a' }),
    ...level(full, 'full fine-tuning', { color: ink }),
    ...level(goalOf(metric === 'loss', base, full), `90% of ${metric === 'loss' ? 'its improvement' : 'it'}`, {
      color: vermilion,
      dash: '6 4',
    }),
  ];
}

/** 90% of the way that the loss falls, or 90% of a score. */
function goalOf(isLoss: boolean, base: number | undefined, full: number | undefined): number | undefined {
  if (full === undefined || (isLoss && base === undefined)) return undefined;
  return isLoss && base !== undefined ? base - 0.9 * (base - full) : 0.9 * full;
}

function panelOf(table: IntrinsicTable, points: readonly Point[], levels: readonly Level[]): Panel {
  const [metric = 'loss'] = table.metrics;
  const dimensions = points.map(({ dimension }) => dimension);
  const scores = points.flatMap(({ score, deviation }) => [score - deviation, score + deviation]);
  const x = logAxis(dimensions, { range: [0, area.width], format: (value) => value.toLocaleString('en') });
  const y = linearAxis([...scores, ...levels.map(({ score }) => score)], { range: [area.height, 0] });
  return {
    ...area,
    x: { axis: x, name: 'd, trained parameters (log scale)', gap: 40 },
    y: { axis: y, name: `${metricTitles[metric]} (${metric === 'loss' ? 'less' : 'more'} is better)`, gap: 56 },
  };
}

function drawLevel(y: number, stroke: Stroke): string {
  const [from, to] = [
    { x: 0, y },
    { x: area.width, y },
  ];
  return lineThrough([from, to], stroke);
}

/** Puts names next to the panel, where no curve crosses them, each at its line or as near as there is room. */
function nameLevels({ y: { axis } }: Panel, levels: readonly Level[]): string[] {
  const places = levels
    .map(({ score, name, stroke }) => ({ name, stroke, y: axis.at(score) }))
    .toSorted((a, b) => a.y - b.y);
  let last = -Infinity;
  return places.map(({ name, stroke, y }) => {
    last = Math.max(y, last + lineHeight);
    return textAt({ x: area.width + 8, y: last }, name, { color: stroke.color });
  });
}

function drawD90({ x: { axis } }: Panel, { d90, interpolated }: IntrinsicTable): string[] {
  const mark = interpolated ?? d90;
  if (mark === null) return [];
  const x = axis.at(mark);
  const text = `d90 ${interpolated === null ? '≤' : '≈'} ${Number(mark.toPrecision(2)).toLocaleString('en')}`;
  // On the side of the mark where there is more room.
  const [at, anchor] = x < area.width / 2 ? ([x + 6, 'start'] as const) : ([x - 6, 'end'] as const);
  return [
    lineThrough(
      [
        { x, y: 0 },
        { x, y: area.height },
      ],
      { color: vermilion, width: 1.5, dash: '6 4' },
    ),
    textAt({ x: at, y: 10 }, text, { anchor, color: vermilion }),
  ];
}

/** A dot, with a line of one standard deviation to each side. */
function drawPoint(panel: Panel, { dimension, score, deviation }: Point): string[] {
  const at = (value: number): ReturnType<typeof pointIn> => pointIn(panel, [dimension, value]);
  return [
    lineThrough([at(score - deviation), at(score + deviation)], { color: blue, width: 1.5 }),
    circle(at(score), 4.5, { fill: blue }),
  ];
}
