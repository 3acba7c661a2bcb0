/**
 * Columns padded to their widest cell: the first to the left, numbers to the right.
 *
 * @param {readonly (readonly string[])[]} lines the first is the head
 */
export function table(lines) {
  const width = (column) => Math.max(...lines.map((line) => (line[column] ?? '').length));
  const widths = (lines[0] ?? []).map((_, column) => width(column));
  const pad = (text, column) => {
    const gap = ' '.repeat((widths[column] ?? 0) - text.length);
    return column === 0 ? text + gap : gap + text;
  };
  const text = lines.map((line) => line.map(pad).join('  ').trimEnd());
  return [text[0], widths.map((count) => '-'.repeat(count)).join('  '), ...text.slice(1)].join('\n');
}

/** A number with fixed digits, or a dash for what was not measured. */
export const number = (value, digits = 1) => (value === undefined || Number.isNaN(value) ? '–' : value.toFixed(digits));
export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
/** A ratio with the quartiles of its rounds. */
export const spread = ({ ratio, low, high }) => `${number(ratio, 2)} [${number(low, 2)}–${number(high, 2)}]`;

/** The quartiles of some times. */
export const quartiles = ({ low, high }) => `${number(low)}–${number(high)}`;
