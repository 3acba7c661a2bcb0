import type { Column } from './drawTable.js';
import { inHtml, inLines, inMarkdown, shown } from './drawTable.js';
import { format, metricTitles } from './format.js';
import { budgetText, edgeNotes, failureNotes, scoredOnText, seedsText } from './sentences.js';
import type { AgainstFull, StudyRow, StudyTable } from './table.js';
import { atEdge } from '../rateSearch.js';

function columnsOf({ study, metrics, rows }: StudyTable): Column<StudyRow>[] {
  const [metric = 'loss'] = metrics;
  const scored = [...new Set([...metrics, 'loss' as const])];
  const settings: Column<StudyRow>[] =
    study === 'compare'
      ? [
          { title: 'method', of: ({ label }) => label, left: true },
          {
            title: 'learning rate',
            of: (row) => shown(row.settings.learning_rate, format.rate) + (atEdge(row) ? '*' : ''),
          },
        ]
      : [{ title: 'setting', of: ({ label }) => label, left: true }];
  return [
    ...settings,
    { title: 'trained', of: ({ trainable_parameters: count }) => shown(count, format.count) },
    { title: 'share', of: ({ trainable_share: share }) => shown(share, format.share) },
    ...scored.map((name): Column<StudyRow> => ({
      title: metricTitles[name],
      of: ({ scores }) => shown(scores[name], (spread) => format.spread(name, spread)),
    })),
    ...(rows.some(({ against_full: against }) => against !== null)
      ? [
          {
            title: 'against full',
            of: (row: StudyRow) => shown(row.against_full, (against) => describeAgainst(against, metric)),
            left: true,
          },
        ]
      : []),
    { title: 'step', of: ({ measured }) => shown(measured?.seconds_per_step, format.time) },
    {
      title: 'tokens/s',
      of: ({ measured }) => shown(measured?.tokens_per_second, (value) => format.count(Math.round(value))),
    },
    { title: 'peak memory', of: ({ measured }) => shown(measured?.peak_bytes, format.bytes) },
    { title: 'file', of: ({ file_bytes: bytes }) => shown(bytes, format.bytes) },
  ];
}

function describeAgainst(
  { difference, interval, verdict }: AgainstFull,
  metric: StudyTable['metrics'][number],
): string {
  const sign = difference < 0 ? '−' : '+';
  const text = `${sign}${format.score(metric, Math.abs(difference))}`;
  return interval === null ? `${text} (one seed)` : `${text}, ${verdict}`;
}

/** Sentences that say how to read the table. */
export function tableNotes(table: StudyTable): string[] {
  const { metrics, rows } = table;
  const direction = metrics[0] === undefined || metrics[0] === 'loss' ? 'less' : 'by the first metric: more';
  return [
    `${budgetText(table)}; ${scoredOnText(table)}, ${direction} is better.`,
    `${seedsText(table)}${noiseText(table)}`,
    ...edgeNotes(rows),
    ...bestNotes(table),
    ...failureNotes(rows),
  ];
}

function noiseText({ seeds, rows }: StudyTable): string {
  if (seeds === 1 || rows.every(({ against_full: against }) => against === null)) return '';
  return " “Within noise”: the 95% interval of the difference from full fine-tuning (Welch's) has 0 in it.";
}

function bestNotes({ rows, best, best_folder: folder, metrics: [metric = 'loss'] }: StudyTable): string[] {
  const score = rows.find(({ label }) => label === best)?.scores[metric];
  if (best === null || score === undefined) return [];
  const place = folder === null ? '' : `; its files lie in ${folder}`;
  return [`Best: ${best}, ${metricTitles[metric]} ${format.spread(metric, score)}${place}.`];
}

/** For a terminal. */
export function describeTable(table: StudyTable): string {
  return inLines({ columns: columnsOf(table), rows: table.rows, notes: tableNotes(table) });
}

export function markdownTable(table: StudyTable): string {
  return inMarkdown({ columns: columnsOf(table), rows: table.rows, notes: tableNotes(table) });
}

export function htmlTable(table: StudyTable): string {
  return inHtml({ columns: columnsOf(table), rows: table.rows }, ({ label }) => label === table.best);
}
