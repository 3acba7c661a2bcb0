// Generated tables within pages that people write.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './paths.mjs';

/**
 * A page with a new table between `<!-- generated: NAME -->` and `<!-- end -->`.
 *
 * @param {string} path below the root
 * @param {string} name
 * @param {readonly (readonly string[])[]} rows the head first
 * @returns {string} the page's text
 */
export function withSection(path, name, rows) {
  const page = readFileSync(join(root, path), 'utf8');
  const [begin, end] = [`<!-- generated: ${name} -->`, '<!-- end -->'];
  const from = page.indexOf(begin);
  const to = page.indexOf(end, from);
  if (from < 0 || to < 0) throw new Error(`${path} has no section between ${begin} and ${end}`);
  return `${page.slice(0, from + begin.length)}\n\n${tableOf(rows)}\n\n${page.slice(to)}`;
}

/** A Markdown table, its columns padded as the formatter pads them. */
function tableOf(rows) {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => [...(row[column] ?? '')].length)));
  const line = (cells) => `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const [head = [], ...body] = rows;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n');
}
