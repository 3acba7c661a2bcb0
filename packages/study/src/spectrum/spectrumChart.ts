import { logAxis, tightAxis } from '../charts/axis.js';
import { legend } from '../charts/legend.js';
import type { Panel } from '../charts/panel.js';
import { drawPanel, pointIn } from '../charts/panel.js';
import type { Stroke } from '../charts/svg.js';
import { circle, group, lineThrough, svgDocument, textAt } from '../charts/svg.js';
import { blue, vermilion } from '../charts/theme.js';
import type { SpectrumResult } from './spectrum.js';
import type { SpectrumLayer } from './spectrumLayer.js';

const [columns, cellWidth, cellHeight, head] = [3, 330, 260, 70];
const width = 40 + columns * cellWidth;
const curves = { full: { name: 'full ΔW', color: blue }, lora: { name: 'LoRA s·B·A', color: vermilion } };

/** A line: singular values in falling order, without those that rounding leaves of zeros. */
interface Curve {
  readonly values: readonly number[];
  readonly color: string;
}

/**
 * Singular values on a logarithmic axis: a panel for each kind of layer, a line for each layer, the full ΔW against the
 * LoRA's.
 */
export function spectrumChart({ layers, adapter }: SpectrumResult): string {
  const kinds = kindsOf(layers);
  const floor = 1e-7 * largestOf(layers);
  const title = 'Singular values of ΔW, a line for each layer';
  const key = legend(
    [curves.full, ...(adapter === null ? [] : [curves.lora])].map((curve) => ({ ...curve, mark: 'line' })),
    { width: 240 },
  );
  const height = head + 20 + Math.ceil(kinds.size / columns) * cellHeight;
  return svgDocument({ width, height, label: title }, [
    textAt({ x: 20, y: 24 }, title, { size: 16, weight: 'bold' }),
    group({ x: width - 240, y: 13 }, key.content),
    ...[...kinds].map(([kind, members], at) => drawKind(kind, curvesOf(members, floor), { at, shape: members[0] })),
  ]);
}

/** Layers by the last part of their paths. */
function kindsOf(layers: readonly SpectrumLayer[]): Map<string, SpectrumLayer[]> {
  const kinds = new Map<string, SpectrumLayer[]>();
  for (const layer of layers) {
    const kind = layer.path.slice(layer.path.lastIndexOf('.') + 1);
    kinds.set(kind, [...(kinds.get(kind) ?? []), layer]);
  }
  return kinds;
}

function largestOf(layers: readonly SpectrumLayer[]): number {
  const first = layers.flatMap(({ full, lora }) => [full.singular_values[0] ?? 0, lora?.singular_values[0] ?? 0]);
  return Math.max(...first);
}

/** The LoRA's last, so that they lie on top. */
function curvesOf(layers: readonly SpectrumLayer[], floor: number): Curve[] {
  const curve = (values: readonly number[], { color }: { readonly color: string }): Curve => ({
    color,
    values: values.filter((value) => value > floor),
  });
  return [
    ...layers.map(({ full }) => curve(full.singular_values, curves.full)),
    ...layers.flatMap(({ lora }) => (lora === null ? [] : [curve(lora.singular_values, curves.lora)])),
  ];
}

function drawKind(
  kind: string,
  drawn: readonly Curve[],
  { at, shape }: { readonly at: number; readonly shape: Pick<SpectrumLayer, 'out' | 'in'> | undefined },
): string {
  const size = { width: cellWidth - 75, height: cellHeight - 75 };
  const longest = Math.max(...drawn.map(({ values }) => values.length));
  const values = drawn.flatMap((curve) => curve.values);
  const panel: Panel = {
    left: 60 + (at % columns) * cellWidth,
    top: head + 30 + Math.floor(at / columns) * cellHeight,
    ...size,
    fontSize: 10,
    x: { axis: tightAxis([1, Math.max(2, longest)], { range: [0, size.width] }), name: 'index', gap: 32 },
    y: { axis: logAxis(values, { range: [size.height, 0], format: shortNumber }), name: '', gap: 0 },
  };
  const title = textAt({ x: -10, y: -16 }, `${kind} [${shape?.out}, ${shape?.in}]`);
  return drawPanel(panel, [title, ...drawn.flatMap((curve) => drawCurve(panel, curve))]);
}

function drawCurve(panel: Panel, { values, color }: Curve): string[] {
  const points = values.map((value, at) => pointIn(panel, [at + 1, value]));
  const stroke: Stroke = { color, width: 1.2, opacity: 0.8 };
  // One or two points make no line to speak of.
  const dots = points.length < 3 ? points.map((point) => circle(point, 2, { fill: color })) : [];
  return [lineThrough(points, stroke), ...dots];
}

function shortNumber(value: number): string {
  return value >= 0.01 && value < 1000 ? String(Number(value.toPrecision(3))) : value.toExponential(0);
}
