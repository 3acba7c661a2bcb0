import { logAxis, tightAxis } from '../charts/axis.js';
import type { Panel } from '../charts/panel.js';
import { drawPanel, pointIn } from '../charts/panel.js';
import { circle, lineThrough, svgDocument } from '../charts/svg.js';
import { blue } from '../charts/theme.js';
import { shortValue } from '../runReport/drawRunPanel.js';

/** The singular values of a layer's ΔW, in falling order. */
export interface NamedSpectrum {
  readonly path: string;
  readonly singularValues: readonly number[];
}

/** Below this share of the largest, a value is what rounding leaves of zero. */
const floor = 1e-7;

/**
 * The singular values of an adapter's layers as one chart, a line for each layer, on a logarithmic axis; undefined
 * where there is nothing to draw.
 */
export function drawSpectra(
  spectra: readonly NamedSpectrum[],
  { width, height }: { readonly width: number; readonly height: number },
): string | undefined {
  const largest = Math.max(0, ...spectra.map(({ singularValues: [first = 0] }) => first));
  const lines = spectra.map(({ singularValues }) => singularValues.filter((value) => value > floor * largest));
  const values = lines.flat();
  if (values.length === 0) return undefined;
  const size = { width: width - 72, height: height - 54 };
  const longest = Math.max(2, ...lines.map(({ length }) => length));
  const index = tightAxis([1, longest], { range: [0, size.width] });
  const panel: Panel = {
    left: 58,
    top: 14,
    ...size,
    fontSize: 11,
    x: { axis: { ...index, ticks: index.ticks.filter(Number.isInteger) }, name: 'singular value', gap: 32 },
    y: { axis: logAxis(values, { range: [size.height, 0], format: shortValue }), name: '', gap: 0 },
  };
  const label = `Singular values of ΔW of ${spectra.length} layers, on a logarithmic axis`;
  const content = lines.flatMap((line) => {
    const points = line.map((value, at) => pointIn(panel, [at + 1, value]));
    const dots = points.length < 3 ? points.map((point) => circle(point, 2, { fill: blue })) : [];
    return [lineThrough(points, { color: blue, width: 1.2, opacity: 0.55 }), ...dots];
  });
  return svgDocument({ width, height, label, isInPage: true }, [drawPanel(panel, content)]);
}
