import type { Column } from '../tables/drawTable.js';
import { escapeMarkup } from '../markup.js';
import { inHtml, inLines, inMarkdown, shown } from '../tables/drawTable.js';
import { format, metricTitles } from '../tables/format.js';
import type { IntrinsicRow, IntrinsicTable } from './intrinsicTable.js';
import { page, tuningSection } from '../tables/page.js';
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
export function d90Sentence({
  d90,
  interpolated,
  above,
  fallen,
  rows,
  metrics: [metric = 'loss'],
  interrupted,
}: IntrinsicTable): string {
  if (interrupted) return 'Stopped before the end; the same command goes on.';
  if (rows.some(({ label, share }) => label === 'full' && share === null))
    return (
      `No d90: full fine-tuning ${metric === 'loss' ? 'does not improve on the base model' : 'scores 0'}, so ` +
      'that there is nothing to take 90% of.'
    );
  if (d90 === null)
    return above === null
      ? 'No d90: no dimension came to its end.'
      : `d90 is not reached: it is above ${format.count(above)}, the largest dimension that was tried.`;
  const place =
    interpolated === null
      ? `at most ${format.count(d90)}, the smallest dimension that was tried`
      : `${format.count(d90)} of those that were tried; about ` +
        `${format.count(Number(interpolated.toPrecision(2)))} on a straight line over log d`;
  const again =
    fallen.length === 0
      ? ''
      : ` Of larger ones ${fallen.map(format.count).join(', ')} ${fallen.length === 1 ? 'falls' : 'fall'} ` +
        'below 90% again.';
  return `d90 is ${place}.${again}`;
}

/** Sentences that say how to read the table. */
export function intrinsicNotes(table: IntrinsicTable): string[] {
  const {
    model,
    model_parameters: parameters,
    metrics: [metric = 'loss'],
    steps,
    batch_size: batch,
    seeds,
    rows,
    projection,
    entries,
    structure_aware: aware,
  } = table;
  const of =
    metric === 'loss'
      ? "“Of full”: the share of full fine-tuning's improvement in loss over the base model."
      : `“Of full”: the share of full fine-tuning's ${metricTitles[metric]}.`;
  return [
    d90Sentence(table),
    `${model} (${format.count(parameters)} parameters), ` +
      `${steps === null ? 'once through the data' : `${format.count(steps)} steps`} of ${batch} rows each, in ` +
      'random subspaces of ' +
      `${projection === 'sparse' ? `a sparse projection${entries === 1 ? '' : ` with ${entries} entries a row`}` : 'Fastfood'}${aware ? ', structure-aware' : ''}; ` +
      `scores on ${table.test_data ?? `rows held out of ${table.data}`}.`,
    of,
    seeds === 1
      ? 'One seed: nothing here tells noise from difference.'
      : `Mean ± standard deviation of ${seeds} seeds.`,
    ...(rows.some(atEdge)
      ? ['* the smallest or largest learning rate that was tried: one beyond it might do better.']
      : []),
    ...rows.flatMap(({ label, error }) => (error === null ? [] : [`${label}: ${error.message}`])),
  ];
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
