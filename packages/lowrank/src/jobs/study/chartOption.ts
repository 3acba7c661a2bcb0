import type { CustomSeriesOption, EChartsOption, SeriesOption } from 'echarts';
import { format, metricTitles } from './format.js';
import type { StudyRow, StudyTable } from './table.js';

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

/** Panels side by side: the score against trained parameters (on a log scale) and against the time of a step; for a comparison, time, memory and file size of each method below. */
export function chartOption(table: StudyTable): Drawing {
  const isCompare = table.study === 'compare';
  const groups = isCompare ? table.rows.map((row) => ({ name: row.label, rows: [row] })) : sweepGroups(table.rows);
  const width = 1120;
  const legendHeight = groups.length > 1 ? 28 * Math.ceil(groups.length / (isCompare ? 8 : 4)) : 0;
  const top = 56 + legendHeight;
  const panelHeight = 340;
  const below = top + panelHeight + 96;
  const bars = isCompare ? barPanels(table.rows) : [];
  const barHeight = 28 * table.rows.length + 8;
  const height = isCompare ? below + barHeight + 24 : top + panelHeight + 64;
  const xs = [{ of: (row: StudyRow) => row.trainable_parameters, name: 'trained parameters (log scale)' }, { of: (row: StudyRow) => milliseconds(row), name: 'time of a step, ms' }];
  const metric = table.metrics[0] ?? 'loss';
  const yName = `${metricTitles[metric]} ${metric === 'loss' ? '(less is better)' : '(more is better)'}`;
  const text = { color: ink, fontSize: 12, fontFamily: 'sans-serif' };
  const title = (content: string, left: number, at: number): object => ({ text: content, left, top: at, textStyle: { ...text, fontSize: 14, fontWeight: 'bold' } });
  const panelLeft = (panel: number): number => 72 + panel * 550;
  const barLeft = (panel: number): number => 90 + panel * 368;
  const option: EChartsOption = {
    animation: false,
    backgroundColor: '#ffffff',
    textStyle: text,
    color: colors,
    title: [
      title(`${metricTitles[metric]} by trained parameters`, panelLeft(0) - 12, 10),
      title(`${metricTitles[metric]} by time`, panelLeft(1) - 12, 10),
      ...bars.map(({ name }, at) => title(name, barLeft(at) - 12, below - 34)),
    ],
    ...(groups.length > 1 ? { legend: { top: 38, left: panelLeft(0) - 12, data: groups.map(({ name }) => name), textStyle: text, itemGap: 18 } } : {}),
    grid: [
      ...xs.map((_, panel) => ({ left: panelLeft(panel), top, width: 450, height: panelHeight })),
      ...bars.map((_, panel) => ({ left: barLeft(panel), top: below, width: 220, height: barHeight })),
    ],
    xAxis: [
      ...xs.map(({ name }, panel) => ({
        gridIndex: panel,
        type: panel === 0 ? ('log' as const) : ('value' as const),
        name,
        nameLocation: 'middle' as const,
        nameGap: 34,
        ...(panel === 0 ? logBounds(table.rows) : { min: 0 }),
        axisLabel: { ...text, formatter: panel === 0 ? shortCount : (value: number) => format.count(value) },
        splitLine: { lineStyle: { color: '#e8ecf0' } },
      })),
      ...bars.map((_, at) => ({ gridIndex: 2 + at, type: 'value' as const, min: 0, axisLabel: { show: false }, splitLine: { show: false }, axisLine: { show: false }, axisTick: { show: false } })),
    ],
    yAxis: [
      ...xs.map((_, panel) => ({ gridIndex: panel, type: 'value' as const, scale: true, name: yName, nameLocation: 'middle' as const, nameGap: 48, nameRotate: 90, axisLabel: text, splitLine: { lineStyle: { color: '#e8ecf0' } } })),
      ...bars.map((_, at) => ({ gridIndex: 2 + at, type: 'category' as const, inverse: true, data: table.rows.map(({ label }) => label), axisLabel: text, axisTick: { show: false }, axisLine: { lineStyle: { color: '#b5c0ca' } } })),
    ],
    series: [
      ...xs.flatMap(({ of }, panel) => groups.flatMap((group, at) => pointSeries(group, { panel, color: colors[at % colors.length] ?? ink, of, table, named: isCompare }))),
      ...bars.map(({ of, show }, at): SeriesOption => ({
        type: 'bar',
        xAxisIndex: 2 + at,
        yAxisIndex: 2 + at,
        barWidth: 16,
        data: table.rows.map((row, index) => ({ value: of(row) ?? 0, itemStyle: { color: colors[index % colors.length] ?? ink } })),
        label: { show: true, position: 'right', ...text, formatter: ({ dataIndex }) => labelOf(table.rows[dataIndex], of, show) },
      })),
    ],
  };
  return { width, height, option };
}

interface PointsOptions {
  readonly panel: number;
  readonly color: string;
  readonly of: (row: StudyRow) => number | null;
  readonly table: StudyTable;
  /** Whether points carry their group's name, rather than the rank. */
  readonly named: boolean;
}

/** A point for each row, joined by rank in a sweep, with a bar of one standard deviation to each side where there are several seeds. */
function pointSeries({ name, rows }: Group, { panel, color, of, table, named }: PointsOptions): SeriesOption[] {
  const metric = table.metrics[0] ?? 'loss';
  const factor = metric === 'loss' ? 1 : 100;
  const points = rows.flatMap((row) => {
    const [x, score] = [of(row), row.scores[metric]];
    return x === null || score === undefined ? [] : [{ x, y: score.mean * factor, reach: (score.deviation ?? 0) * factor, text: named ? name : String(row.settings.r ?? row.label), best: row.label === table.best }];
  });
  const axes = { xAxisIndex: panel, yAxisIndex: panel };
  // Time jumps back and forth between ranks: only parameters make a line.
  const joined = !named && panel === 0;
  const dots: SeriesOption = {
    ...axes,
    type: joined ? 'line' : 'scatter',
    name,
    color,
    symbol: 'circle',
    symbolSize: 10,
    data: points.map(({ x, y, best }) => ({ value: [x, y], ...(best ? { symbolSize: 15, itemStyle: { borderColor: '#1b2733', borderWidth: 2 } } : {}) })),
    label: { show: true, position: named ? 'right' : 'top', distance: 8, color: ink, fontSize: 12, formatter: ({ dataIndex }: { dataIndex: number }) => `${named ? '' : 'r '}${points[dataIndex]?.text ?? ''}` },
    labelLayout: { moveOverlap: 'shiftY' },
    z: 3,
  };
  const spread: CustomSeriesOption = {
    ...axes,
    type: 'custom',
    name,
    color,
    silent: true,
    z: 2,
    data: points.filter(({ reach }) => reach > 0).map(({ x, y, reach }) => [x, y - reach, y + reach]),
    // Bounds belong to the axis, so that no bar is cut.
    encode: { x: 0, y: [1, 2] },
    renderItem(_, api) {
      const [low, high] = [api.coord([api.value(0), api.value(1)]), api.coord([api.value(0), api.value(2)])];
      const [x = 0, bottom = 0, , top = 0] = [...low, ...high];
      const style = { stroke: color, lineWidth: 1.5 };
      const line = (x1: number, y1: number, x2: number, y2: number): { type: 'line'; shape: object; style: object } => ({ type: 'line', shape: { x1, y1, x2, y2 }, style });
      return { type: 'group', children: [line(x, bottom, x, top), line(x - 5, bottom, x + 5, bottom), line(x - 5, top, x + 5, top)] };
    },
  };
  return [dots, spread];
}

function sweepGroups(rows: readonly StudyRow[]): Group[] {
  const groups = new Map<string, StudyRow[]>();
  for (const row of rows) {
    const name = row.label.replace(/^r \d+(, )?/, '') || 'rank r';
    groups.set(name, [...(groups.get(name) ?? []), row]);
  }
  return [...groups].map(([name, members]) => ({ name, rows: [...members].sort((a, b) => (a.trainable_parameters ?? 0) - (b.trainable_parameters ?? 0)) }));
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

function milliseconds({ measured }: StudyRow): number | null {
  const seconds = measured?.seconds_per_step;
  return seconds === undefined || seconds === null ? null : seconds * 1000;
}

/** Powers of ten around all counts, so that no point lies on the frame. */
function logBounds(rows: readonly StudyRow[]): { min?: number; max?: number } {
  const counts = rows.flatMap(({ trainable_parameters: count }) => count ?? []);
  if (counts.length === 0) return {};
  return { min: 10 ** Math.floor(Math.log10(Math.min(...counts) * 0.8)), max: 10 ** Math.ceil(Math.log10(Math.max(...counts) * 1.6)) };
}

function shortCount(value: number): string {
  return value >= 1e9 ? `${value / 1e9}B` : value >= 1e6 ? `${value / 1e6}M` : value >= 1e3 ? `${value / 1e3}k` : String(value);
}
