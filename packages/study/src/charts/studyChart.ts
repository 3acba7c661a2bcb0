import { format, metricTitles } from '../tables/format.js';
import type { StudyRow, StudyTable } from '../tables/table.js';
import type { BarGroup } from './bars.js';
import { barHeight, drawBars } from './bars.js';
import { legend } from './legend.js';
import type { PointGroup, ScorePanel } from './scorePanel.js';
import { drawScores, scorePanelSize } from './scorePanel.js';
import { colorAt, group, svgDocument, textAt } from './svg.js';

const width = 1120;
const [panelLeft, panelDistance] = [72, 550];
const [barsLeft, barsDistance] = [90, 368];
const title = { size: 14, weight: 'bold' } as const;

const scorePanels: readonly ScorePanel[] = [
  {
    title: 'trained parameters',
    name: 'trained parameters (log scale)',
    of: (row) => row.trainable_parameters,
    isLog: true,
  },
  {
    title: 'time',
    name: 'time of a step, ms',
    of: ({ measured }) => (typeof measured?.seconds_per_step === 'number' ? measured.seconds_per_step * 1000 : null),
    isLog: false,
  },
];

const barGroups: readonly BarGroup[] = [
  { title: 'Time of a step', of: ({ measured }) => measured?.seconds_per_step ?? null, show: format.time },
  { title: 'Peak memory', of: ({ measured }) => measured?.peak_bytes ?? null, show: format.bytes },
  { title: 'File', of: ({ file_bytes: bytes }) => bytes, show: format.bytes },
];

/**
 * Panels side by side: the score against trained parameters (on a log scale) and against the time of a step; for a
 * comparison, time, memory and file size of each method below.
 */
export function studyChart(table: StudyTable): string {
  const isCompare = table.study === 'compare';
  const [metric = 'loss'] = table.metrics;
  const groups = isCompare ? table.rows.map(groupOfOne) : groupsByRank(table.rows);
  const key = legend(legendEntries(groups, table), { width: width - panelLeft });
  const top = 56 + key.height;
  const bottom = top + scorePanelSize.height + 64;
  const below = bottom + 32;
  const scores = scorePanels.flatMap((panel, at) => {
    const left = panelLeft + at * panelDistance;
    return [
      textAt({ x: left - 12, y: 20 }, `${metricTitles[metric]} by ${panel.title}`, title),
      drawScores(groups, panel, { left, top, table }),
    ];
  });
  const bars = barGroups.flatMap((bar, at) => {
    const left = barsLeft + at * barsDistance;
    return [
      textAt({ x: left - 12, y: below - 22 }, bar.title, title),
      group({ x: left, y: below }, drawBars(table.rows, bar)),
    ];
  });
  const height = isCompare ? below + barHeight(table.rows) + 24 : bottom;
  const label = `${metricTitles[metric]} by trained parameters and by time`;
  return svgDocument({ width, height, label }, [
    group({ x: panelLeft - 12, y: 38 }, key.content),
    ...scores,
    ...(isCompare ? bars : []),
  ]);
}

function groupOfOne(row: StudyRow, at: number): PointGroup {
  return { name: row.label, color: colorAt(at), points: [{ row, label: row.label }] };
}

/** A group for each setting of a sweep but the rank, in the order of its parameters. */
function groupsByRank(rows: readonly StudyRow[]): PointGroup[] {
  const groups = new Map<string, StudyRow[]>();
  for (const row of rows) {
    const name = row.label.replace(/^r \d+(, )?/, '') || 'rank r';
    groups.set(name, [...(groups.get(name) ?? []), row]);
  }
  return [...groups].map(([name, members], at) => ({
    name,
    color: colorAt(at),
    points: members
      .toSorted((a, b) => (a.trainable_parameters ?? 0) - (b.trainable_parameters ?? 0))
      .map((row) => ({ row, label: `r ${row.settings.r ?? row.label}` })),
  }));
}

function legendEntries(
  groups: readonly PointGroup[],
  { study, metrics: [metric = 'loss'] }: StudyTable,
): Parameters<typeof legend>[0] {
  if (groups.length < 2) return [];
  return groups
    .filter(({ points }) => points.some(({ row }) => row.scores[metric] !== undefined))
    .map(({ name, color }) => ({ name, color, mark: study === 'sweep' ? 'line' : 'dot' }));
}
