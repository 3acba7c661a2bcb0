import type { CustomSeriesOption, EChartsOption, SeriesOption } from 'echarts';
import type { AxisBounds } from './axisBounds.js';
import { logBounds, niceBounds } from './axisBounds.js';
import { format, metricTitles } from '../tables/format.js';
import { labelDistance, labelPlaces } from './labelPlaces.js';
import type { StudyRow, StudyTable } from '../tables/table.js';

export interface Drawing {
  readonly width: number;
  readonly height: number;
  readonly option: EChartsOption;
}

/** Okabe and Ito's colours, which people with any colour vision can tell apart. */
const colors = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#7a7a7a', '#000000'];
const ink = '#33414e';

/** Points of one colour: a method, or all that a sweep varies but the rank. */
interface Group {
  readonly name: string;
  readonly rows: readonly StudyRow[];
}

/**
 * Panels side by side: the score against trained parameters (on a log scale) and against the time of a step; for a
 * comparison, time, memory and file size of each method below.
 */
export function chartOption(table: StudyTable): Drawing {
  const isCompare = table.study === 'compare';
  const groups = isCompare ? table.rows.map((row) => ({ name: row.label, rows: [row] })) : sweepGroups(table.rows);
  const width = 1120;
  const legendHeight = groups.length > 1 ? 28 * Math.ceil(groups.length / (isCompare ? 8 : 4)) : 0;
  const top = 56 + legendHeight;
  const below = top + panelSize.height + 96;
  const bars = isCompare ? barPanels(table.rows) : [];
  const barHeight = 28 * table.rows.length + 8;
  const height = isCompare ? below + barHeight + 24 : top + panelSize.height + 64;
  const drawn = panels.map((panel) => {
    const dots = dotsOf(groups, panel, table);
    return { panel, dots, bounds: boundsOf(dots, panel) };
  });
  const metric = table.metrics[0] ?? 'loss';
  const yName = `${metricTitles[metric]} ${metric === 'loss' ? '(less is better)' : '(more is better)'}`;
  const text = { color: ink, fontSize: 12, fontFamily: 'sans-serif' };
  const title = (content: string, left: number, at: number): object => ({
    text: content,
    left,
    top: at,
    textStyle: { ...text, fontSize: 14, fontWeight: 'bold' },
  });
  const panelLeft = (panel: number): number => 72 + panel * 550;
  const barLeft = (panel: number): number => 90 + panel * 368;
  const option: EChartsOption = {
    textStyle: text,
    color: colors,
    title: [
      title(`${metricTitles[metric]} by trained parameters`, panelLeft(0) - 12, 10),
      title(`${metricTitles[metric]} by time`, panelLeft(1) - 12, 10),
      ...bars.map(({ name }, at) => title(name, barLeft(at) - 12, below - 34)),
    ],
    ...(groups.length > 1
      ? {
          legend: {
            top: 38,
            left: panelLeft(0) - 12,
            data: groups.flatMap(({ name, rows }) =>
              rows.some(({ scores }) => scores[metric] !== undefined) ? name : [],
            ),
            textStyle: text,
            itemGap: 18,
          },
        }
      : {}),
    grid: [
      ...panels.map((_, at) => ({ left: panelLeft(at), top, ...panelSize })),
      ...bars.map((_, panel) => ({ left: barLeft(panel), top: below, width: 220, height: barHeight })),
    ],
    xAxis: [
      ...drawn.map(({ panel: { name, isLog }, bounds }, at) => ({
        gridIndex: at,
        type: isLog ? ('log' as const) : ('value' as const),
        name,
        nameLocation: 'middle' as const,
        nameGap: 34,
        ...bounds.x,
        axisLabel: { ...text, formatter: isLog ? shortCount : (value: number) => format.count(value) },
        splitLine: { lineStyle: { color: '#e8ecf0' } },
      })),
      ...bars.map((_, at) => ({
        gridIndex: 2 + at,
        type: 'value' as const,
        min: 0,
        axisLabel: { show: false },
        splitLine: { show: false },
        axisLine: { show: false },
        axisTick: { show: false },
      })),
    ],
    yAxis: [
      ...drawn.map(({ bounds }, at) => ({
        gridIndex: at,
        type: 'value' as const,
        ...bounds.y,
        name: yName,
        nameLocation: 'middle' as const,
        nameGap: 48,
        nameRotate: 90,
        axisLabel: text,
        splitLine: { lineStyle: { color: '#e8ecf0' } },
      })),
      ...bars.map((_, at) => ({
        gridIndex: 2 + at,
        type: 'category' as const,
        inverse: true,
        data: table.rows.map(({ label }) => label),
        axisLabel: text,
        axisTick: { show: false },
        axisLine: { lineStyle: { color: '#b5c0ca' } },
      })),
    ],
    series: [
      ...drawn.flatMap(({ panel, dots, bounds }, at) =>
        panelSeries(dots, groups, { panel, at, bounds, study: table.study }),
      ),
      ...bars.map(({ of, show }, at): SeriesOption => ({
        type: 'bar',
        xAxisIndex: 2 + at,
        yAxisIndex: 2 + at,
        barWidth: 16,
        data: table.rows.map((row, index) => ({
          value: of(row) ?? 0,
          itemStyle: { color: colors[index % colors.length] ?? ink },
        })),
        label: {
          show: true,
          position: 'right',
          ...text,
          formatter: ({ dataIndex }) => labelOf(table.rows[dataIndex], of, show),
        },
      })),
    ],
  };
  return { width, height, option };
}

interface Dot {
  readonly group: number;
  readonly x: number;
  readonly y: number;
  readonly reach: number;
  readonly text: string;
  readonly best: boolean;
}

interface Panel {
  readonly name: string;
  readonly of: (row: StudyRow) => number | null;
  readonly isLog: boolean;
}

const panels: readonly Panel[] = [
  { name: 'trained parameters (log scale)', of: (row) => row.trainable_parameters, isLog: true },
  {
    name: 'time of a step, ms',
    of: ({ measured }) => (typeof measured?.seconds_per_step === 'number' ? measured.seconds_per_step * 1000 : null),
    isLog: false,
  },
];

/** A point for each row that has a score. */
function dotsOf(
  groups: readonly Group[],
  { of }: Panel,
  { metrics: [metric = 'loss'], study, best }: StudyTable,
): Dot[] {
  const factor = metric === 'loss' ? 1 : 100;
  return groups.flatMap(({ name, rows }, group) =>
    rows.flatMap((row) => {
      const [x, score] = [of(row), row.scores[metric]];
      if (x === null || score === undefined) return [];
      const text = study === 'compare' ? name : `r ${row.settings.r ?? row.label}`;
      return [
        { group, x, y: score.mean * factor, reach: (score.deviation ?? 0) * factor, text, best: row.label === best },
      ];
    }),
  );
}

const panelSize = { width: 450, height: 340 };

interface Bounds {
  readonly x: Pick<AxisBounds, 'min' | 'max'>;
  readonly y: AxisBounds;
}

function boundsOf(dots: readonly Dot[], { isLog }: Panel): Bounds {
  const xs = dots.map(({ x }) => x);
  return {
    x: isLog ? logBounds(xs) : niceBounds(xs, { floor: 0 }),
    y: niceBounds(dots.flatMap(({ y, reach }) => [y - reach, y + reach])),
  };
}

/**
 * Points of a group, joined by rank in a sweep, with a bar of one standard deviation to each side where there are
 * several seeds.
 */
function panelSeries(
  dots: readonly Dot[],
  groups: readonly Group[],
  { panel, at, bounds, study }: { panel: Panel; at: number; bounds: Bounds; study: StudyTable['study'] },
): SeriesOption[] {
  const scale = (value: number): number => (panel.isLog ? Math.log10(value) : value);
  const pixels = dots.map(({ x, y, reach, text }) => ({
    x: ((scale(x) - scale(bounds.x.min)) / (scale(bounds.x.max) - scale(bounds.x.min))) * panelSize.width,
    y: ((bounds.y.max - y) / (bounds.y.max - bounds.y.min)) * panelSize.height,
    reach: (reach / (bounds.y.max - bounds.y.min)) * panelSize.height,
    text,
  }));
  // Time jumps back and forth between ranks: only parameters make a line.
  const isLine = study === 'sweep' && panel.isLog;
  const paths = isLine ? groups.map((_, group) => pixels.filter((_point, index) => dots[index]?.group === group)) : [];
  const places = labelPlaces(pixels, { ...panelSize, paths });
  return groups.flatMap(({ name }, group): SeriesOption[] => {
    const color = colors[group % colors.length] ?? ink;
    const own = dots.flatMap((dot, index) =>
      dot.group === group ? [{ ...dot, place: places[index], clear: (pixels[index]?.reach ?? 0) + labelDistance }] : [],
    );
    const axes = { xAxisIndex: at, yAxisIndex: at };
    const labelled = (dot: (typeof own)[number]): object => {
      const { place, clear, text } = dot;
      const isAside = place === 'left' || place === 'right';
      return place === undefined
        ? { show: false }
        : {
            show: true,
            position: place,
            distance: isAside ? labelDistance : clear,
            color: ink,
            fontSize: 12,
            formatter: text,
          };
    };
    return [
      {
        ...axes,
        type: isLine ? 'line' : 'scatter',
        name,
        color,
        symbol: 'circle',
        symbolSize: 10,
        itemStyle: { opacity: 1 },
        data: own.map((dot) => ({
          value: [dot.x, dot.y],
          label: labelled(dot),
          ...(dot.best ? { symbolSize: 14, itemStyle: { borderColor: '#1b2733', borderWidth: 2, opacity: 1 } } : {}),
        })),
        z: 3,
      },
      barsOf(own, { ...axes, name, color }),
    ];
  });
}

function barsOf(
  dots: readonly Dot[],
  options: { xAxisIndex: number; yAxisIndex: number; name: string; color: string },
): CustomSeriesOption {
  const style = { stroke: options.color, lineWidth: 1.5 };
  return {
    ...options,
    type: 'custom',
    silent: true,
    z: 2,
    data: dots.filter(({ reach }) => reach > 0).map(({ x, y, reach }) => [x, y - reach, y + reach]),
    encode: { x: 0, y: [1, 2] },
    renderItem(_, api) {
      const [x = 0, bottom = 0] = api.coord([api.value(0), api.value(1)]);
      const [, top = 0] = api.coord([api.value(0), api.value(2)]);
      const line = (
        x1: number,
        y1: number,
        x2: number,
        y2: number,
      ): { type: 'line'; shape: object; style: object } => ({ type: 'line', shape: { x1, y1, x2, y2 }, style });
      return {
        type: 'group',
        children: [line(x, bottom, x, top), line(x - 5, bottom, x + 5, bottom), line(x - 5, top, x + 5, top)],
      };
    },
  };
}

function sweepGroups(rows: readonly StudyRow[]): Group[] {
  const groups = new Map<string, StudyRow[]>();
  for (const row of rows) {
    const name = row.label.replace(/^r \d+(, )?/, '') || 'rank r';
    groups.set(name, [...(groups.get(name) ?? []), row]);
  }
  return [...groups].map(([name, members]) => ({
    name,
    rows: [...members].sort((a, b) => (a.trainable_parameters ?? 0) - (b.trainable_parameters ?? 0)),
  }));
}

interface BarPanel {
  readonly name: string;
  readonly of: (row: StudyRow) => number | null;
  readonly show: (value: number) => string;
}

function barPanels(rows: readonly StudyRow[]): BarPanel[] {
  const panels: BarPanel[] = [
    { name: 'Time of a step', of: ({ measured }) => measured?.seconds_per_step ?? null, show: format.time },
    { name: 'Peak memory', of: ({ measured }) => measured?.peak_bytes ?? null, show: format.bytes },
    { name: 'File', of: ({ file_bytes: bytes }) => bytes, show: format.bytes },
  ];
  return rows.length === 0 ? [] : panels;
}

function labelOf(row: StudyRow | undefined, of: BarPanel['of'], show: BarPanel['show']): string {
  const value = row === undefined ? null : of(row);
  return value === null ? (row?.error === null ? '–' : 'failed') : show(value);
}

function shortCount(value: number): string {
  return value >= 1e9
    ? `${value / 1e9}B`
    : value >= 1e6
      ? `${value / 1e6}M`
      : value >= 1e3
        ? `${value / 1e3}k`
        : String(value);
}
