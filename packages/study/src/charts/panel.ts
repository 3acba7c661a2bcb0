import type { Axis } from './axis.js';
import type { Point } from './svg.js';
import { group, lineThrough, textAt } from './svg.js';
import { frame, grid } from './theme.js';

const gridStroke = { color: grid };
const frameStroke = { color: frame };
const tickLength = 5;

/** A plot with two axes. */
export interface Panel {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  readonly x: NamedAxis;
  readonly y: NamedAxis;
  /** Of the texts of ticks. */
  readonly fontSize?: number;
}

interface NamedAxis {
  readonly axis: Axis;
  readonly name: string;
  /** Pixels between the axis and its name. */
  readonly gap: number;
}

/** Draws grid and axes, and on them what lies in the panel, in its own coordinates. */
export function drawPanel(panel: Panel, content: readonly string[]): string {
  return group({ x: panel.left, y: panel.top }, [...drawX(panel), ...drawY(panel), ...content]);
}

/** Where a pair of values lies in the panel. */
export function pointIn({ x, y }: Panel, [first, second]: readonly [x: number, y: number]): Point {
  return { x: x.axis.at(first), y: y.axis.at(second) };
}

function drawX({ width, height, fontSize: size, x: { axis, name, gap } }: Panel): string[] {
  const marks = axis.ticks.flatMap((value) => {
    const x = axis.at(value);
    return [
      lineThrough(
        [
          { x, y: 0 },
          { x, y: height },
        ],
        gridStroke,
      ),
      lineThrough(
        [
          { x, y: height },
          { x, y: height + tickLength },
        ],
        frameStroke,
      ),
      textAt({ x, y: height + tickLength + 9 }, axis.format(value), { anchor: 'middle', size }),
    ];
  });
  return [
    ...marks,
    lineThrough(
      [
        { x: 0, y: height },
        { x: width, y: height },
      ],
      frameStroke,
    ),
    textAt({ x: width / 2, y: height + gap }, name, { anchor: 'middle' }),
  ];
}

function drawY({ width, height, fontSize: size, y: { axis, name, gap } }: Panel): string[] {
  const marks = axis.ticks.flatMap((value) => {
    const y = axis.at(value);
    return [
      lineThrough(
        [
          { x: 0, y },
          { x: width, y },
        ],
        gridStroke,
      ),
      lineThrough(
        [
          { x: -tickLength, y },
          { x: 0, y },
        ],
        frameStroke,
      ),
      textAt({ x: -tickLength - 4, y }, axis.format(value), { anchor: 'end', size }),
    ];
  });
  return [
    ...marks,
    lineThrough(
      [
        { x: 0, y: 0 },
        { x: 0, y: height },
      ],
      frameStroke,
    ),
    ...(name === '' ? [] : [textAt({ x: -gap, y: height / 2 }, name, { anchor: 'middle', rotate: -90 })]),
  ];
}
