import { format, metricTitles } from './format.js';
import type { IntrinsicRow, IntrinsicTable } from './intrinsicTable.js';
import { atEdge } from './tuning.js';

interface Column {
  readonly title: string;
  readonly of: (row: IntrinsicRow) => string;
  readonly left?: boolean;
}

const none = '–';

function columnsOf({ metrics }: IntrinsicTable): Column[] {
  const shown = <T>(value: T | null | undefined, text: (value: T) => string): string => (value === null || value === undefined ? none : text(value));
  return [
    { title: 'trained', of: ({ label }) => label, left: true },
    { title: 'learning rate', of: (row) => shown(row.settings.learning_rate, format.rate) + (atEdge(row) ? '*' : '') },
    { title: 'parameters', of: ({ trainable_parameters: count }) => shown(count, format.count) },
    ...[...new Set([...metrics, 'loss' as const])].map((name): Column => ({ title: metricTitles[name], of: ({ scores }) => shown(scores[name], (spread) => format.spread(name, spread)) })),
    { title: 'of full', of: ({ share }) => shown(share, (value) => `${(100 * value).toFixed(1)}%`) },
    { title: 'step', of: ({ measured }) => shown(measured?.seconds_per_step, format.time) },
    { title: 'peak memory', of: ({ measured }) => shown(measured?.peak_bytes, (bytes) => format.bytes(bytes)) },
    { title: 'file', of: ({ file_bytes: bytes }) => shown(bytes, (size) => format.bytes(size)) },
  ];
}

/** What the study found, in a sentence. */
export function d90Sentence({ d90, interpolated, above, fallen, rows, metrics: [metric = 'loss'], interrupted }: IntrinsicTable): string {
  if (interrupted) return 'Stopped before the end; the same command goes on.';
  if (rows.some(({ label, share }) => label === 'full' && share === null)) return `No d90: full fine-tuning ${metric === 'loss' ? 'does not improve on the base model' : 'scores 0'}, so that there is nothing to take 90% of.`;
  if (d90 === null) return above === null ? 'No d90: no dimension came to its end.' : `d90 is not reached: it is above ${format.count(above)}, the largest dimension that was tried.`;
  const place = interpolated === null ? `at most ${format.count(d90)}, the smallest dimension that was tried` : `${format.count(d90)} of those that were tried; about ${format.count(Number(interpolated.toPrecision(2)))} on a straight line over log d`;
  const again = fallen.length === 0 ? '' : ` Of larger ones ${fallen.map(format.count).join(', ')} ${fallen.length === 1 ? 'falls' : 'fall'} below 90% again.`;
  return `d90 is ${place}.${again}`;
}

/** Sentences that say how to read the table. */
export function intrinsicNotes(table: IntrinsicTable): string[] {
  const { model, model_parameters: parameters, metrics: [metric = 'loss'], steps, batch_size: batch, seeds, rows, projection, entries, structure_aware: aware } = table;
  const of = metric === 'loss' ? "“Of full”: the share of full fine-tuning's improvement in loss over the base model." : `“Of full”: the share of full fine-tuning's ${metricTitles[metric]}.`;
  return [
    d90Sentence(table),
    `${model} (${format.count(parameters)} parameters), ${steps === null ? 'once through the data' : `${format.count(steps)} steps`} of ${batch} rows each, in random subspaces of ${projection === 'sparse' ? `a sparse projection${entries === 1 ? '' : ` with ${entries} entries a row`}` : 'Fastfood'}${aware ? ', structure-aware' : ''}; scores on ${table.test_data ?? `rows held out of ${table.data}`}.`,
    of,
    seeds === 1 ? 'One seed: nothing here tells noise from difference.' : `Mean ± standard deviation of ${seeds} seeds.`,
    ...(rows.some(atEdge) ? ['* the smallest or largest learning rate that was tried: one beyond it might do better.'] : []),
    ...rows.flatMap(({ label, error }) => (error === null ? [] : [`${label}: ${error.message}`])),
  ];
}

/** For a terminal: columns in line. */
export function describeIntrinsic(table: IntrinsicTable): string {
  const columns = columnsOf(table);
  const cells = [columns.map(({ title }) => title), ...table.rows.map((row) => columns.map(({ of }) => of(row)))];
  const widths = columns.map((_, at) => Math.max(...cells.map((row) => row[at]?.length ?? 0)));
  const pad = (text: string, at: number): string => (columns[at]?.left === true ? text.padEnd(widths[at] ?? 0) : text.padStart(widths[at] ?? 0));
  return [...cells.map((row) => row.map(pad).join('  ').trimEnd()), '', ...intrinsicNotes(table)].join('\n');
}

/** GitHub's Markdown. */
export function intrinsicMarkdown(table: IntrinsicTable): string {
  const columns = columnsOf(table);
  const line = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rows = [line(columns.map(({ title }) => title)), `|${columns.map(({ left }) => (left === true ? '---' : '---:')).join('|')}|`, ...table.rows.map((row) => line(columns.map(({ of }) => of(row))))];
  return `${rows.join('\n')}\n\n${intrinsicNotes(table).map((note) => note.replace(/^\*/, '\\*')).join('\n\n')}\n`;
}

/** A page of its own: what was found, the table, the chart, and how learning rates were chosen. */
export function intrinsicHtml(table: IntrinsicTable, chart: string): string {
  const columns = columnsOf(table);
  const cells = (tag: string, texts: readonly string[]): string => texts.map((text, at) => `<${tag}${columns[at]?.left === true ? ' class="left"' : ''}>${escape(text)}</${tag}>`).join('');
  const [found = '', ...notes] = intrinsicNotes(table);
  const tried = table.rows.filter(({ tuning }) => tuning.length > 0).map(({ label, settings, tuning }) => {
    const each = tuning.map(({ learning_rate: rate, loss, error }) => {
      const text = `${format.rate(rate)}: ${loss === null ? escape(error ?? 'failed') : format.score('loss', loss)}`;
      return rate === settings.learning_rate ? `<b>${text}</b>` : text;
    });
    return `<tr><td class="left">${escape(label)}</td><td class="left">${each.join('<br>')}</td></tr>`;
  });
  const body = [
    '<h1>Intrinsic dimension</h1>',
    `<p><b>${escape(found)}</b></p>`,
    `<div class="wide"><table><thead><tr>${cells('th', columns.map(({ title }) => title))}</tr></thead><tbody>`,
    ...table.rows.map((row) => `<tr${row.dimension !== null && row.dimension === table.d90 ? ' class="best"' : ''}>${cells('td', columns.map(({ of }) => of(row)))}</tr>`),
    '</tbody></table></div>',
    ...notes.map((note) => `<p>${escape(note)}</p>`),
    `<figure>${chart}</figure>`,
    ...(tried.length === 0 ? [] : ['<h2>Learning rates</h2>', '<p>Loss on the rows held out for choosing, by learning rate.</p>', `<table><tbody>${tried.join('')}</tbody></table>`]),
  ];
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Intrinsic dimension</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #1b2733; max-width: 1140px; margin: 2rem auto; padding: 0 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid #dde3ea; white-space: nowrap; }
.left { text-align: left; }
.best td { background: #eef6ee; font-weight: 600; }
figure { margin: 2rem 0; } svg { max-width: 100%; height: auto; }
</style>
${body.join('\n')}
</html>
`;
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
