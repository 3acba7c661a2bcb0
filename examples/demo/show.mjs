/** What the demo draws in a terminal. */

/**
 * One line that redraws itself on a terminal; elsewhere a line for each fifth of the work.
 * @param {string} label
 * @param {number} total
 * @param {string} unit of `total`
 */
export function progressBar(label, total, unit, stream = process.stderr) {
  const width = 30;
  const started = Date.now();
  let told = -1;
  const draw = (done, note) => {
    const full = Math.round((width * done) / total);
    const bar = '█'.repeat(full) + '░'.repeat(width - full);
    const parts = [
      label.padEnd(9),
      bar,
      `${done}/${total} ${unit}`,
      `${((Date.now() - started) / 1000).toFixed(1)} s`,
      note,
    ];
    stream.write(stream.isTTY ? `\r${parts.join('  ').trimEnd()}\u001b[K` : `${parts.join('  ').trimEnd()}\n`);
    told = Math.floor((5 * done) / total);
  };
  let last = 0;
  return {
    update(done, note = '') {
      last = done;
      if (stream.isTTY || Math.floor((5 * done) / total) > told) draw(done, note);
    },
    /** The last word; the bar stays where the work ended. */
    end(note = '') {
      draw(last, note);
      if (stream.isTTY) stream.write('\n');
    },
  };
}

/** @param {string[][]} rows cells; the first column flush left, the others flush right */
export function table(rows) {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows
    .map(
      (row) =>
        `  ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  ')}`,
    )
    .join('\n');
}
