import { escapeMarkup } from '../markup.js';

/** A column of a study's table, for people. */
export interface Column<Row> {
  readonly title: string;
  readonly of: (row: Row) => string;
  readonly left?: boolean;
}

/** Rows, and sentences that say how to read them. */
export interface Drawn<Row> {
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly notes: readonly string[];
}

/** The text of a value, or a dash where there is none. */
export function shown<T>(value: T | null | undefined, text: (value: T) => string): string {
  return value === null || value === undefined ? '–' : text(value);
}

/** For a terminal: columns in line. */
export function inLines<Row>({ columns, rows, notes }: Drawn<Row>): string {
  const cells = [columns.map(({ title }) => title), ...rows.map((row) => columns.map(({ of }) => of(row)))];
  const widths = columns.map((_, at) => Math.max(...cells.map((row) => row[at]?.length ?? 0)));
  const pad = (text: string, at: number): string =>
    columns[at]?.left === true ? text.padEnd(widths[at] ?? 0) : text.padStart(widths[at] ?? 0);
  return [...cells.map((row) => row.map(pad).join('  ').trimEnd()), '', ...notes].join('\n');
}

/** GitHub's Markdown. */
export function inMarkdown<Row>({ columns, rows, notes }: Drawn<Row>): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const lines = [
    line(columns.map(({ title }) => title)),
    `|${columns.map(({ left }) => (left === true ? '---' : '---:')).join('|')}|`,
    ...rows.map((row) => line(columns.map(({ of }) => of(row)))),
  ];
  return `${lines.join('\n')}\n\n${notes.map((note) => note.replace(/^\*/, '\\*')).join('\n\n')}\n`;
}

/** A table of a page. */
export function inHtml<Row>(
  { columns, rows }: Pick<Drawn<Row>, 'columns' | 'rows'>,
  isBest: (row: Row) => boolean,
): string {
  const cells = (tag: string, texts: readonly string[]): string =>
    texts
      .map((text, at) => `<${tag}${columns[at]?.left === true ? ' class="left"' : ''}>${escapeMarkup(text)}</${tag}>`)
      .join('');
  return [
    `<div class="wide"><table><thead><tr>${cells(
      'th',
      columns.map(({ title }) => title),
    )}</tr></thead><tbody>`,
    ...rows.map(
      (row) =>
        `<tr${isBest(row) ? ' class="best"' : ''}>${cells(
          'td',
          columns.map(({ of }) => of(row)),
        )}</tr>`,
    ),
    '</tbody></table></div>',
  ].join('\n');
}
