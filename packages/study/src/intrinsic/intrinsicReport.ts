import type { Column } from '../tables/drawTable.js';
import { escapeMarkup } from '../markup.js';
import { inHtml, inLines, inMarkdown, shown } from '../tables/drawTable.js';
import { format, metricTitles } from '../tables/format.js';
import { budgetText, edgeNotes, failureNotes, scoredOnText, seedsText } from '../tables/sentences.js';
import type { IntrinsicRow, IntrinsicTable } from './intrinsicTable.js';
import { page } from '../tables/page.js';
import { tuningSection } from '../tables/tuningSection.js';
import { atEdge } from '../rateSearch.js';

function columnsOf({ metrics }: IntrinsicTable): Column<IntrinsicRow>[] {
  return [
    { title: 'trained', of: ({ label }) => label, left: true },
    { title: 'learning rate', of: (row) => shown(row.settings.learning_rate, format.rate) + (atEdge(row) ? '*' : '') },
    { title: 'parameters', of: ({ trainable_parameters: count }) => shown(count, format.count) },
    ...[...new Set([...metrics, 'loss' as const])].map((name): Column<IntrinsicRow> => ({
      title: metricTitles[name],
      of: ({ scores }) => shown(scores[name], (spread) => format.spread(name, spread)),
    })),
    { title: 'of full', of: ({ share }) => shown(share, (value) => `${(100 * value).toFixed(1)}%`) },
    { title: 'step', of: ({ measured }) => shown(measured?.seconds_per_step, format.time) },
    { title: 'peak memory', of: ({ measured }) => shown(measured?.peak_bytes, (bytes) => format.bytes(bytes)) },
    { title: 'file', of: ({ file_bytes: bytes }) => shown(bytes, (size) => format.bytes(size)) },
  ];
}

/** What the study found, in a sentence. */
export function d90Sentence(table: IntrinsicTable): string {
  const { d90, above, fallen, rows, metrics, interrupted } = table;
  if (interrupted) return 'Stopped before the end; the same command goes on.';
  if (rows.some(({ label, share }) => label === 'full' && share === null)) {
    const nothing = metrics[0] === 'loss' ? 'does not improve on the base model' : 'scores 0';
    return `No d90: full fine-tuning ${nothing}, so that there is nothing to take 90% of.`;
  }
  if (d90 === null && above === null) return 'No d90: no dimension came to its end.';
  if (d90 === null)
    return `d90 is not reached: it is above ${shown(above, format.count)}, the largest dimension that was tried.`;
  const verb = fallen.length === 1 ? 'falls' : 'fall';
  const again =
    fallen.length === 0 ? '' : ` Of larger ones ${fallen.map(format.count).join(', ')} ${verb} below 90% again.`;
  return `d90 is ${placeOf(d90, table)}.${again}`;
}

function placeOf(d90: number, { interpolated }: IntrinsicTable): string {
  if (interpolated === null) return `at most ${format.count(d90)}, the smallest dimension that was tried`;
  const about = format.count(Number(interpolated.toPrecision(2)));
  return `${format.count(d90)} of those that were tried; about ${about} on a straight line over log d`;
}

/** Sentences that say how to read the table. */
export function intrinsicNotes(table: IntrinsicTable): string[] {
  const { rows } = table;
  return [
    d90Sentence(table),
    `${budgetText(table)}, in random subspaces of ${projectionText(table)}; ${scoredOnText(table)}.`,
    shareText(table),
    seedsText(table),
    ...edgeNotes(rows),
    ...failureNotes(rows),
  ];
}

function projectionText({ projection, entries, structure_aware: aware }: IntrinsicTable): string {
  const kind = projection === 'sparse' ? 'a sparse projection' : 'Fastfood';
  const many = entries === null || entries === 1 ? '' : ` with ${entries} entries a row`;
  return `${kind}${many}${aware ? ', structure-aware' : ''}`;
}

function shareText({ metrics: [metric = 'loss'] }: IntrinsicTable): string {
  return metric === 'loss'
    ? "“Of full”: the share of full fine-tuning's improvement in loss over the base model."
    : `“Of full”: the share of full fine-tuning's ${metricTitles[metric]}.`;
}

/** For a terminal. */
export function describeIntrinsic(table: IntrinsicTable): string {
  return inLines({ columns: columnsOf(table), rows: table.rows, notes: intrinsicNotes(table) });
}

export function intrinsicMarkdown(table: IntrinsicTable): string {
  return inMarkdown({ columns: columnsOf(table), rows: table.rows, notes: intrinsicNotes(table) });
}

/** A page of its own: what was found, the table, the chart, and how learning rates were chosen. */
export function intrinsicHtml(table: IntrinsicTable, chart: string): string {
  const { rows, d90 } = table;
  const [found = '', ...notes] = intrinsicNotes(table).map(escapeMarkup);
  const drawn = inHtml({ columns: columnsOf(table), rows }, ({ dimension }) => dimension !== null && dimension === d90);
  return page('Intrinsic dimension', [
    `<p><b>${found}</b></p>`,
    drawn,
    ...notes.map((note) => `<p>${note}</p>`),
    `<figure>${chart}</figure>`,
    ...tuningSection(rows),
  ]);
}
