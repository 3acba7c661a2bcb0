/** A row as its file has it; which form it has, the library finds out. */
export type Row = Readonly<Record<string, unknown>>;

/** The keys of all rows, in the order in which they come up. */
export function columnsOf(rows: readonly Row[]): string[] {
  const columns = new Set<string>();
  for (const row of rows) for (const key of Object.keys(row)) columns.add(key);
  return [...columns];
}

/** A cell as text to edit: strings as they are, everything else as JSON. */
export function cellText(value: unknown): string {
  if (value === undefined) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/**
 * The value of an edited cell: what was a string stays one; what was a list, an object or a number is read as JSON, and
 * stays text where it is none. An emptied cell that was no string is taken out.
 */
export function cellValue(text: string, before: unknown): unknown {
  if (before === undefined) return text === '' ? undefined : text;
  if (typeof before === 'string') return text;
  if (text === '') return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** The rows with one cell changed. */
export function withCell(rows: readonly Row[], at: { row: number; column: string }, text: string): Row[] {
  return rows.map((row, index) => {
    if (index !== at.row) return row;
    const { [at.column]: before, ...others } = row;
    const value = cellValue(text, before);
    // A key that is there keeps its place.
    return value === undefined ? others : { ...row, [at.column]: value };
  });
}

export function toJsonl(rows: readonly Row[]): string {
  return rows.map((row) => `${JSON.stringify(row)}\n`).join('');
}

/** Rows to learn from, and rows to measure on. */
export interface SplitRows {
  readonly train: readonly Row[];
  readonly held: readonly Row[];
}

/**
 * Holds out a share of the rows, drawn by a seed; rows with the same prompt stay on one side, so that nothing that is
 * asked was learned. Fewer than two different prompts cannot be cut, and all are learned from.
 */
export function splitRows(rows: readonly Row[], { percent, seed }: { percent: number; seed: number }): SplitRows {
  const groups = new Map<string, number[]>();
  for (const [at, row] of rows.entries()) {
    const key = JSON.stringify(row['prompt'] ?? row['instruction'] ?? row['messages'] ?? row);
    groups.set(key, [...(groups.get(key) ?? []), at]);
  }
  const wanted = Math.round((percent / 100) * rows.length);
  if (percent === 0 || groups.size < 2) return { train: rows, held: [] };
  const order = shuffled([...groups.values()], seed);
  const held = new Set<number>();
  for (const group of order.slice(0, -1)) {
    if (held.size >= Math.max(1, wanted)) break;
    for (const at of group) held.add(at);
  }
  return {
    train: rows.filter((_, at) => !held.has(at)),
    held: rows.filter((_, at) => held.has(at)),
  };
}

/** Fisher and Yates with mulberry32: the same order on every device. */
function shuffled<T>(values: readonly T[], seed: number): T[] {
  const order = [...values];
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  for (let at = order.length - 1; at > 0; at--) {
    const other = Math.floor(next() * (at + 1));
    [order[at], order[other]] = [order[other] as T, order[at] as T];
  }
  return order;
}

/** The text that a row asks with, to show what the model makes of it; undefined for rows of plain text and chats. */
export function promptOf(row: Row | undefined): string | undefined {
  const prompt = row?.['prompt'] ?? row?.['instruction'];
  return typeof prompt === 'string' ? prompt : undefined;
}

/** What the row answers to its prompt. */
export function answerOf(row: Row | undefined): string | undefined {
  const answer = row?.['completion'] ?? row?.['output'];
  return typeof answer === 'string' ? answer : undefined;
}
