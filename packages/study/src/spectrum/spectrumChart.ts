import { chartSvg } from '../charts/charts.js';
import type { SpectrumResult } from './spectrum.js';
import type { SpectrumLayer } from './spectrumLayer.js';

const [columns, panelWidth, panelHeight, head] = [3, 330, 260, 70];

/** Colours that people who see few can tell apart (Okabe and Ito). */
const colours = { full: '#0072b2', lora: '#d55e00' };

/**
 * Singular values on a logarithmic axis: a panel for each kind of layer, a line for each layer, the full ΔW against the
 * LoRA's.
 */
export async function spectrumChart({ layers, adapter }: SpectrumResult): Promise<string> {
  const kinds = new Map<string, SpectrumLayer[]>();
  for (const layer of layers) {
    const kind = layer.path.slice(layer.path.lastIndexOf('.') + 1);
    kinds.set(kind, [...(kinds.get(kind) ?? []), layer]);
  }
  const panels = [...kinds].map(([kind, members], at) => ({
    kind,
    members,
    at,
    left: 60 + (at % columns) * panelWidth,
    top: head + 30 + Math.floor(at / columns) * panelHeight,
  }));
  // What rounding leaves of a zero would only stretch the axis.
  const largest = Math.max(
    ...layers.flatMap(({ full, lora }) => [full.singular_values[0] ?? 0, lora?.singular_values[0] ?? 0]),
  );
  const floor = 1e-7 * largest;
  const line = (values: readonly number[], at: number, { name, color }: { name: string; color: string }): object => ({
    type: 'line',
    name,
    xAxisIndex: at,
    yAxisIndex: at,
    showSymbol: values.length < 3,
    symbolSize: 4,
    lineStyle: { width: 1.2, color, opacity: 0.8 },
    itemStyle: { color },
    data: values.flatMap((value, index) => (value > floor ? [[index + 1, value]] : [])),
  });
  const series = panels.flatMap(({ members, at }) => [
    ...members.map(({ full }) => line(full.singular_values, at, { name: 'full ΔW', color: colours.full })),
    ...members.flatMap(({ lora }) =>
      lora === null ? [] : [line(lora.singular_values, at, { name: 'LoRA s·B·A', color: colours.lora })],
    ),
  ]);
  const axis = {
    nameTextStyle: { color: '#555555' },
    axisLabel: { color: '#555555', fontSize: 10 },
    splitLine: { lineStyle: { color: '#eeeeee' } },
  };
  return chartSvg(
    {
      title: [
        { text: 'Singular values of ΔW, a line for each layer', left: 20, top: 12, textStyle: { fontSize: 16 } },
        ...panels.map(({ kind, members, left, top }) => ({
          text: `${kind} [${members[0]?.out}, ${members[0]?.in}]`,
          left: left - 10,
          top: top - 26,
          textStyle: { fontSize: 12, fontWeight: 'normal' },
        })),
      ],
      legend: { data: ['full ΔW', ...(adapter === null ? [] : ['LoRA s·B·A'])], right: 30, top: 14 },
      grid: panels.map(({ left, top }) => ({ left, top, width: panelWidth - 75, height: panelHeight - 75 })),
      xAxis: panels.map(({ at }) => ({
        ...axis,
        type: 'value',
        gridIndex: at,
        min: 1,
        name: 'index',
        nameLocation: 'middle',
        nameGap: 24,
      })),
      yAxis: panels.map(({ at }) => ({
        ...axis,
        type: 'log',
        gridIndex: at,
        axisLabel: { ...axis.axisLabel, formatter: exponent },
      })),
      series,
    },
    { width: 40 + columns * panelWidth, height: head + 20 + Math.ceil(panels.length / columns) * panelHeight },
  );
}

function exponent(value: number): string {
  return value >= 0.01 && value < 1000 ? String(Number(value.toPrecision(3))) : value.toExponential(0);
}
