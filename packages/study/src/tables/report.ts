import { htmlTable, tableNotes } from './describeTable.js';
import { escapeMarkup } from '../markup.js';
import { page } from './page.js';
import type { StudyRow, StudyTable } from './table.js';
import { tuningSection } from './tuningSection.js';

/** A page of its own: the table, the chart, how learning rates were chosen, and what the models wrote. */
export function reportHtml(table: StudyTable, chart: string): string {
  const notes = tableNotes(table).map((note) => `<p>${escapeMarkup(note)}</p>`);
  return page(table.study === 'compare' ? 'Methods compared' : 'Sweep', [
    htmlTable(table),
    ...notes,
    `<figure>${chart}</figure>`,
    ...tuningSection(table.rows),
    ...samplesOf(table.rows),
  ]);
}

/** The first prompts, and what each row's model wrote. */
function samplesOf(rows: readonly StudyRow[]): string[] {
  const [first] = rows.filter(({ samples }) => samples.length > 0);
  if (first === undefined) return [];
  return [
    '<h2>Samples</h2>',
    ...first.samples.flatMap(({ prompt, references }, at) => [
      `<p class="text">${escapeMarkup(prompt.trim())}</p>`,
      '<table><tbody>',
      `<tr><td class="left">reference</td><td class="text">${escapeMarkup(references[0]?.trim() ?? '')}</td></tr>`,
      ...rows.flatMap(({ label, samples }) =>
        samples[at] === undefined
          ? []
          : [
              `<tr><td class="left">${escapeMarkup(label)}</td><td ` +
                `class="text">${escapeMarkup(samples[at].text.trim())}</td></tr>`,
            ],
      ),
      '</tbody></table>',
    ]),
  ];
}
