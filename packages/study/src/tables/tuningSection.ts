import { escapeMarkup } from '../markup.js';
import { format } from './format.js';
import type { StudyRow } from './table.js';

/** How learning rates were chosen; nothing where they were given. */
export function tuningSection(rows: readonly StudyRow[]): string[] {
  const tuned = rows.filter(({ tuning }) => tuning.length > 0);
  if (tuned.length === 0) return [];
  const row = ({ label, settings, tuning }: StudyRow): string => {
    const tried = tuning.map(({ learning_rate: rate, loss, error }) => {
      const text =
        `${format.rate(rate)}: ` + `${loss === null ? escapeMarkup(error ?? 'failed') : format.score('loss', loss)}`;
      return rate === settings.learning_rate ? `<b>${text}</b>` : text;
    });
    return `<tr><td class="left">${escapeMarkup(label)}</td><td class="text">${tried.join('<br>')}</td></tr>`;
  };
  return [
    '<h2>Learning rates</h2>',
    '<p>Loss on the rows held out for choosing, by learning rate.</p>',
    `<table><tbody>${tuned.map(row).join('')}</tbody></table>`,
  ];
}
