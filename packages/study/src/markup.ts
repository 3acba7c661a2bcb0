import { printable } from '@lowrank/errors';

/**
 * Text as it stands in HTML, in SVG, and in an attribute's double quotes. Control characters, which neither may hold,
 * and those that turn the direction of text are written as escapes.
 */
export function escapeMarkup(text: string): string {
  return printable(text)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
