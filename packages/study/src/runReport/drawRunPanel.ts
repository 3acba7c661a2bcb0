import type { Axis } from '../charts/axis.js';
import { linearAxis, logAxis, shortCount, tightAxis } from '../charts/axis.js';
import { legend } from '../charts/legend.js';
import type { Panel } from '../charts/panel.js';
import { drawPanel, pointIn } from '../charts/panel.js';
import { circle, element, group, lineThrough, svgDocument, textAt, textWidth } from '../charts/svg.js';
import { frame, green, ink, paper } from '../charts/theme.js';
import { escapeMarkup } from '../markup.js';
import { format } from '../tables/format.js';
import type { CurvePoint } from './curve.js';
import type { RunCurves } from './runCurves.js';
import type { PanelSeries, RunPanel } from './runPanels.js';

/** A step at which something happened. */
export interface StepMark {
  readonly step: number;
  readonly name: string;
  readonly isBest: boolean;
}

/** Options of `drawRunPanel`; sizes are pixels. */
/** What a panel is drawn of, and how large, in pixels. */
export interface RunPanelOptions {
  readonly width: number;
  readonly height: number;
  readonly curves: RunCurves;
  readonly marks: readonly StepMark[];
}

/** A series as it is drawn: runs of points without a gap. */
interface Drawn extends PanelSeries {
  readonly raw: readonly CurvePoint[][];
  readonly smooth: readonly CurvePoint[][];
}

/** More values than this are drawn without dots. */
const mostDots = 120;
/** Values that differ by more than this factor, in both directions from their middle one, want a logarithmic axis. */
const wide = 30;

/** Steps of a moving mean: about a fiftieth of what is there, so that a long run's noise does not hide its trend. */
export function smoothingSteps(curves: RunCurves): number {
  return 2 * Math.max(4, Math.round((curves.lastStep ?? 0) / 100)) + 1;
}

/** A panel's chart as SVG; undefined where there is nothing to draw. */
export function drawRunPanel(panel: RunPanel, { width, height, curves, marks }: RunPanelOptions): string | undefined {
  const drawn = panel.series.flatMap((series) => drawnSeries(series, curves));
  if (drawn.length === 0) return undefined;
  const key = legend(legendOf(drawn, smoothingSteps(curves)), { width: width - 60 });
  const top = 14 + key.height;
  const size = { width: width - 72, height: height - top - 40 };
  const values = drawn.flatMap(({ raw }) => raw.flat().map(({ value }) => value));
  const y = valueAxis(panel, values, size.height);
  const plot: Panel = {
    left: 58,
    top,
    ...size,
    fontSize: 11,
    x: { axis: stepAxis(curves.lastStep ?? 0, size.width), name: 'step', gap: 32 },
    y: { axis: y.axis, name: '', gap: 0 },
  };
  const scale = y.isLog ? ', on a logarithmic axis' : '';
  const label = `${panel.title} over ${format.count(curves.lastStep ?? 0)} steps${scale}`;
  return svgDocument({ width, height, label, isInPage: true }, [
    group({ x: plot.left - 4, y: 2 }, key.content),
    drawPanel(plot, [
      ...drawMarks(plot, marks),
      ...drawn.flatMap((series) => drawSeries(plot, series, { panel, marks })),
    ]),
  ]);
}

function drawnSeries(series: PanelSeries, curves: RunCurves): Drawn[] {
  const curve = curves.curve(series.curve);
  if (curve.isEmpty) return [];
  const { style } = series;
  const middle = style === 'spiky' ? 'median' : 'mean';
  const smooth = isNoisy(style) ? curve.smoothed(smoothingSteps(curves), middle) : [];
  return [{ ...series, raw: curve.segments(), smooth }];
}

function isNoisy(style: PanelSeries['style']): boolean {
  return style === 'noisy' || style === 'spiky';
}

function legendOf(drawn: readonly Drawn[], steps: number): Parameters<typeof legend>[0] {
  return drawn
    .filter(({ name }) => name !== '')
    .map(({ name, color, style }) => ({
      name: isNoisy(style) ? `${name}, mean of ${format.count(steps)} steps` : name,
      color,
      mark: style === 'dots' ? 'dot' : 'line',
    }));
}

/** Whole steps alone. */
function stepAxis(last: number, width: number): Axis {
  const axis = tightAxis([0, Math.max(1, last)], { range: [0, width], format: shortCount });
  return { ...axis, ticks: axis.ticks.filter(Number.isInteger) };
}

function valueAxis(
  { format: text = shortValue, fromZero = false, isShare = false }: RunPanel,
  values: readonly number[],
  height: number,
): { readonly axis: Axis; readonly isLog: boolean } {
  const range = [height, 0] as const;
  if (!fromZero && isWide(values)) return { axis: logAxis(values, { range, format: text }), isLog: true };
  const floor = values.every((value) => value >= 0) ? 0 : -Infinity;
  if (isShare) {
    const axis = tightAxis([Math.min(0.5, ...values), 1], { range, format: text });
    return { axis, isLog: false };
  }
  return { axis: linearAxis(fromZero ? [0, ...values] : values, { range, floor, format: text }), isLog: false };
}

/** A few steps far above all others would press these flat. */
function isWide(values: readonly number[]): boolean {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, middle, high] = [0, 0.5, 1].map((share) => sorted[Math.floor(share * (sorted.length - 1))] ?? 0);
  return low !== undefined && middle !== undefined && high !== undefined && low > 0 && high > wide * middle;
}

function drawSeries(
  plot: Panel,
  { raw, smooth, color, style, curve }: Drawn,
  { panel, marks }: { readonly panel: RunPanel; readonly marks: readonly StepMark[] },
): string[] {
  const at = ({ step, value }: CurvePoint): ReturnType<typeof pointIn> => pointIn(plot, [step, value]);
  const line = (points: readonly CurvePoint[], stroke: Parameters<typeof lineThrough>[1]): string => {
    const [first] = points;
    // One value makes no line.
    if (first !== undefined && points.length === 1) return circle(at(first), 2, { fill: color });
    return lineThrough(points.map(at), stroke);
  };
  if (isNoisy(style))
    return [
      ...raw.map((points) => line(points, { color, width: 1, opacity: 0.45 })),
      ...smooth.map((points) => line(points, { color, width: 2 })),
    ];
  const points = raw.flat();
  const best = marks.find(({ isBest }) => isBest)?.step;
  const dots = style === 'dots' && points.length <= mostDots ? points : [];
  return [
    ...raw.map((each) => lineThrough(each.map(at), { color, width: 2 })),
    ...dots.map((point) => {
      const isBest = curve === 'eval_loss' && point.step === best;
      const dot = isBest
        ? circle(at(point), 6, { fill: green, stroke: { color: paper, width: 2 } })
        : circle(at(point), 3.5, { fill: color });
      const text = (panel.format ?? shortValue)(point.value);
      return titled(`step ${format.count(point.step)}: ${text}${isBest ? ', the best' : ''}`, dot);
    }),
  ];
}

/** Lines down the panel, with names as long as there is room. */
function drawMarks(plot: Panel, marks: readonly StepMark[]): string[] {
  let free = 0;
  return marks
    .toSorted((a, b) => a.step - b.step)
    .map(({ step, name, isBest }) => {
      const x = plot.x.axis.at(step);
      const line = lineThrough(
        [
          { x, y: 0 },
          { x, y: plot.height },
        ],
        { color: isBest ? green : frame, width: 1.5, dash: isBest ? '6 3' : '2 3' },
      );
      const width = textWidth(name, 11);
      const [left, anchor] = x + 4 + width <= plot.width ? [x + 4, 'start' as const] : [x - 4, 'end' as const];
      const start = anchor === 'start' ? left : left - width;
      const hasRoom = start >= free;
      if (hasRoom) free = start + width + 6;
      const text = hasRoom ? textAt({ x: left, y: 7 }, name, { anchor, size: 11, color: ink }) : '';
      return titled(`step ${format.count(step)}: ${name}`, line, text);
    });
}

/** Shown where the pointer rests. */
function titled(text: string, ...children: readonly string[]): string {
  return element('g', {}, element('title', {}, escapeMarkup(text)), ...children);
}

/** 0.00002 → 2e-5, 12000 → 12k */
export function shortValue(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e4) return shortCount(Number(value.toPrecision(3)));
  if (size > 0 && size < 1e-3) return Number(value.toPrecision(3)).toExponential();
  return String(Number(value.toPrecision(4)));
}
