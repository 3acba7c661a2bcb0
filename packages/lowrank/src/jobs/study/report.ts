import { tableCells, tableNotes } from './describeTable.js';
import { format } from './format.js';
import type { StudyRow, StudyTable } from './table.js';

/** A page of its own: the table, the chart, how learning rates were chosen, and what the models wrote. */
export function reportHtml(table: StudyTable, chart: string): string {
  const title = table.study === 'compare' ? 'Methods compared' : 'Sweep';
  const { titles, rows } = tableCells(table);
  const cells = (tag: string, texts: readonly string[]): string => texts.map((text, at) => `<${tag}${titles[at]?.left === true ? ' class="left"' : ''}>${escape(text)}</${tag}>`).join('');
  const body = [
    `<h1>${title}</h1>`,
    `<div class="wide"><table><thead><tr>${cells('th', titles.map((column) => column.title))}</tr></thead><tbody>`,
    ...rows.map((row, at) => `<tr${table.rows[at]?.label === table.best ? ' class="best"' : ''}>${cells('td', row)}</tr>`),
    '</tbody></table></div>',
    ...tableNotes(table).map((note) => `<p>${escape(note)}</p>`),
    `<figure>${chart}</figure>`,
    ...tuningOf(table.rows),
    ...samplesOf(table.rows),
  ];
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #1b2733; max-width: 1140px; margin: 2rem auto; padding: 0 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid #dde3ea; white-space: nowrap; }
.left { text-align: left; }
.text { white-space: pre-wrap; text-align: left; vertical-align: top; }
.best td { background: #eef6ee; font-weight: 600; }
figure { margin: 2rem 0; } svg { max-width: 100%; height: auto; }
</style>
${body.join('\n')}
</html>
`;
}

function tuningOf(rows: readonly StudyRow[]): string[] {
  const tuned = rows.filter(({ tuning }) => tuning.length > 0);
  if (tuned.length === 0) return [];
  const row = ({ label, settings, tuning }: StudyRow): string => {
    const tried = tuning.map(({ learning_rate: rate, loss, error }) => {
      const text = `${format.rate(rate)}: ${loss === null ? escape(error ?? 'failed') : format.score('loss', loss)}`;
      return rate === settings.learning_rate ? `<b>${text}</b>` : text;
    });
    return `<tr><td class="left">${escape(label)}</td><td class="text">${tried.join('<br>')}</td></tr>`;
  };
  return ['<h2>Learning rates</h2>', '<p>Loss on the rows held out for choosing, by learning rate.</p>', `<table><tbody>${tuned.map(row).join('')}</tbody></table>`];
}

/** The first prompts, and what each row's model made of them. */
function samplesOf(rows: readonly StudyRow[]): string[] {
  const [first] = rows.filter(({ samples }) => samples.length > 0);
  if (first === undefined) return [];
  return [
    '<h2>Samples</h2>',
    ...first.samples.flatMap(({ prompt, references }, at) => [
      `<p class="text">${escape(prompt.trim())}</p>`,
      '<table><tbody>',
      `<tr><td class="left">reference</td><td class="text">${escape(references[0]?.trim() ?? '')}</td></tr>`,
      ...rows.flatMap(({ label, samples }) => (samples[at] === undefined ? [] : [`<tr><td class="left">${escape(label)}</td><td class="text">${escape(samples[at].text.trim())}</td></tr>`])),
      '</tbody></table>',
    ]),
  ];
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
