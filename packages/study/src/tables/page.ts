import { escapeMarkup } from '../markup.js';
import { format } from './format.js';
import type { StudyRow } from './table.js';

/** A page that needs no other file. */
export function page(title: string, body: readonly string[]): string {
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
<h1>${title}</h1>
${body.join('\n')}
</html>
`;
}

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
