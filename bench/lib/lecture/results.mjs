import { appendFileSync, existsSync, readFileSync } from 'node:fs';

/**
 * A run that is over, as a line of the results.
 *
 * @typedef {object} Line
 * @property {string} part
 * @property {string} label
 * @property {number} rate
 * @property {number} seed
 * @property {number} steps
 * @property {number} trained parameters
 * @property {number} share of the model's own
 * @property {Readonly<Record<string, Readonly<Record<string, number | null>>>>} scores by rows, then by metric
 * @property {number} fileBytes
 * @property {number} peakBytes
 * @property {number} cpuSeconds of training, on all threads together
 * @property {string} [error] what kept it from an end; then the figures are missing
 * @property {string} device
 */

/** @param {string} file @returns {Line[]} */
export function readLines(file) {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

/**
 * A line at a time, so that whatever ends the process takes one run at most.
 *
 * @param {string} file
 * @param {Line} line
 */
export function appendLine(file, line) {
  appendFileSync(file, `${JSON.stringify(line)}\n`);
}

/**
 * The least loss on held-out rows of the runs with the first seed; infinite where there is none.
 *
 * @param {readonly Line[]} lines
 * @param {{ part: string, label: string }} row
 */
export function leastLoss(lines, row) {
  return Math.min(...heldOut(lines, row).map(({ loss }) => loss));
}

/**
 * The rate that {@link leastLoss} is of; undefined where no run came to an end.
 *
 * @param {readonly Line[]} lines
 * @param {{ part: string, label: string }} row
 */
export function bestRate(lines, row) {
  return heldOut(lines, row).sort((a, b) => a.loss - b.loss)[0]?.rate;
}

/** @param {readonly Line[]} lines @param {{ part: string, label: string }} row */
function heldOut(lines, { part, label }) {
  const first = lines.filter((line) => line.seed === 0 && line.part === part && line.label === label);
  return first.flatMap(({ rate, scores }) => {
    const loss = scores?.valid?.loss;
    return typeof loss === 'number' && Number.isFinite(loss) ? [{ rate, loss }] : [];
  });
}

/**
 * Those of a row that its figures are of: at the rate that was chosen, where there were several.
 *
 * @param {readonly Line[]} lines
 * @param {string} part
 * @param {import('./parts.mjs').Contender} contender
 */
function chosenLines(lines, part, { label, rates }) {
  const own = lines.filter((line) => line.part === part && line.label === label);
  const best = rates.length === 1 ? undefined : bestRate(own, { part, label });
  return best === undefined ? own : own.filter(({ rate }) => rate === best);
}

/**
 * The table of a part in Markdown: means and deviations over the seeds that are done, beside PyTorch's where there is
 * a run of it.
 *
 * @param {string} name
 * @param {import('./parts.mjs').Part} part
 * @param {readonly Line[]} lines
 */
export function tableOf(name, part, lines) {
  const columns = Object.keys(part.tests).flatMap((test) => part.metrics.map((metric) => ({ test, metric })));
  const head = ['method', 'rate', 'trained', 'share', ...columns.map(({ test, metric }) => `${metric}, ${test}`)];
  const beside = part.pytorch === undefined ? [] : ['PyTorch'];
  const rows = part.contenders.flatMap((contender) => {
    const { label } = contender;
    const own = chosenLines(lines, name, contender);
    const done = own.filter(({ error }) => error === undefined);
    const [first] = done;
    if (first === undefined) return own.length === 0 ? [] : [[label, own[0]?.error ?? '']];
    return [
      [
        label,
        String(first.rate),
        first.trained.toLocaleString('en-US'),
        `${(100 * first.share).toPrecision(3)}%`,
        ...columns.map(({ test, metric }) => spread(done.map(({ scores }) => scores[test]?.[metric]))),
        ...beside.map(() => (part.pytorch?.[label] ?? []).map((score) => score.toFixed(1)).join(', ')),
        String(done.length),
        `${Math.round(mean(done.map(({ cpuSeconds }) => cpuSeconds)))} s`,
        `${Math.round(Math.max(...done.map(({ peakBytes }) => peakBytes)) / 1e6)} MB`,
        `${(first.fileBytes / 1e6).toFixed(2)} MB`,
      ],
    ];
  });
  if (rows.length === 0) return undefined;
  const titles = [...head, ...beside, 'seeds', 'CPU time', 'peak memory', 'file'];
  const line = (/** @type {readonly string[]} */ cells) => `| ${cells.join(' | ')} |`;
  return [part.title, '', line(titles), line(titles.map(() => '---')), ...rows.map(line)].join('\n');
}

/** @param {readonly number[]} values */
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Mean ± standard deviation, in percent. @param {readonly (number | null | undefined)[]} given */
function spread(given) {
  const values = given.map((value) => 100 * (value ?? Number.NaN));
  const middle = mean(values);
  if (values.length < 2) return middle.toFixed(1);
  const squares = values.reduce((sum, value) => sum + (value - middle) ** 2, 0);
  return `${middle.toFixed(1)} ± ${Math.sqrt(squares / (values.length - 1)).toFixed(1)}`;
}

/**
 * d₉₀: the smallest dimension with at least 90% of full fine-tuning's score; undefined where none reaches it.
 *
 * @param {readonly Line[]} lines
 * @returns {number | undefined}
 */
export function ninetyPercent(lines) {
  const accuracy = (/** @type {Line[]} */ own) => mean(own.map(({ scores }) => scores?.test?.accuracy ?? Number.NaN));
  const scored = lines.filter(({ scores }) => scores?.test !== undefined);
  const full = accuracy(scored.filter(({ part, label }) => part === 'sentiment' && label === 'full'));
  const dimensions = grouped(scored);
  return [...dimensions]
    .filter(([, own]) => accuracy(own) >= 0.9 * full)
    .map(([dimension]) => dimension)
    .sort((a, b) => a - b)[0];
}

/** @param {readonly Line[]} scored @returns {Map<number, Line[]>} */
function grouped(scored) {
  const found = new Map();
  for (const line of scored.filter(({ part }) => part === 'dimensions')) {
    const dimension = Number(line.label.slice('d = '.length));
    found.set(dimension, [...(found.get(dimension) ?? []), line]);
  }
  return found;
}
