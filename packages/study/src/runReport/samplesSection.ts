import { escapeMarkup } from '../markup.js';
import type { RunSample } from './reportedRun.js';
import { shortened } from './settingsSection.js';

/** Of a text; rows may be books. */
const mostCharacters = 3000;

/** What the model wrote before and after, and what the data say, side by side. */
export function samplesSection(samples: readonly RunSample[]): string[] {
  if (samples.length === 0) return [];
  return ['<h2>Samples</h2>', ...samples.map(sampleBlock)];
}

function sampleBlock({ prompt, before, after, wanted }: RunSample): string {
  const columns = [
    { name: 'before', text: before },
    { name: 'after', text: after },
    { name: 'wanted', text: wanted },
  ].flatMap(({ name, text }) => (text === null ? [] : [`<section><h3>${name}</h3>${paragraph(text)}</section>`]));
  return `<article class="sample">${paragraph(prompt)}<div class="sides">${columns.join('')}</div></article>`;
}

function paragraph(text: string): string {
  const trimmed = text.replaceAll('\r\n', '\n').trim();
  return `<p class="text">${trimmed === '' ? '<i>nothing</i>' : escapeMarkup(shortened(trimmed, mostCharacters))}</p>`;
}
