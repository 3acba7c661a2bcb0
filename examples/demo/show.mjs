/** What the demo draws in a terminal. */

/**
 * One line that redraws itself on a terminal; elsewhere a line for each tenth of the work.
 * @param {string} label
 * @param {number} total
 */
export function progressBar(label, total, stream = process.stderr) {
  const width = 30;
  const started = Date.now();
  let drawn = -1;
  const seconds = () => `${((Date.now() - started) / 1000).toFixed(0)} s`;
  return {
    update(done, note = '') {
      const tenth = Math.floor((10 * done) / total);
      if (!stream.isTTY && tenth === drawn) return;
      drawn = tenth;
      const full = Math.round((width * done) / total);
      const line = `${label.padEnd(18)} ${'█'.repeat(full)}${'░'.repeat(width - full)} ${done}/${total}  ${seconds()}  ${note}`;
      stream.write(stream.isTTY ? `\r${line}\u001b[K` : `${line}\n`);
    },
    end() {
      if (stream.isTTY) stream.write('\n');
    },
  };
}

/** @param {string[][]} rows cells; the first column flush left, the others flush right */
export function table(rows) {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows.map((row) => `  ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  ')}`).join('\n');
}
