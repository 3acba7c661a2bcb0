/** Numbers of right and wrong answers of one label. */
interface Counts {
  right: number;
  predicted: number;
  wanted: number;
}

function f1({ right, predicted, wanted }: Counts): number {
  return predicted + wanted === 0 ? 0 : (2 * right) / (predicted + wanted);
}

/**
 * Accuracy, F1 (of two labels that of the second, as scikit-learn's `binary`; else the mean of all, `macro`), its other
 * means and Matthews' correlation of labels.
 */
export function labelScores(
  wanted: readonly number[],
  predicted: readonly number[],
  count: number,
): Readonly<Record<string, number>> {
  const all = wanted.length;
  const table = confusion(wanted, predicted, count);
  const counts = Array.from({ length: count }, (_, at): Counts => ({
    right: table[at]?.[at] ?? 0,
    predicted: table.reduce((sum, row) => sum + (row[at] ?? 0), 0),
    wanted: (table[at] ?? []).reduce((sum, each) => sum + each, 0),
  }));
  const right = counts.reduce((sum, each) => sum + each.right, 0);
  const macro = counts.reduce((sum, each) => sum + f1(each), 0) / count;
  const [, second] = counts;
  return {
    accuracy: right / all,
    f1: count === 2 && second !== undefined ? f1(second) : macro,
    f1_macro: macro,
    // Each row has one label: precision and recall over all are the accuracy.
    f1_micro: right / all,
    matthews: matthews(counts, all),
  };
}

/** How often each label (row) was taken for each (column). */
export function confusion(wanted: readonly number[], predicted: readonly number[], count: number): number[][] {
  const table = Array.from({ length: count }, () => Array.from({ length: count }, () => 0));
  wanted.forEach((label, at) => {
    const row = table[label];
    const column = predicted[at] ?? 0;
    if (row !== undefined) row[column] = (row[column] ?? 0) + 1;
  });
  return table;
}

/** R_K of several labels (Gorodkin 2004); 0 where it is not defined, as scikit-learn has it. */
function matthews(counts: readonly Counts[], all: number): number {
  const sum = (of: (counts: Counts) => number): number => counts.reduce((total, each) => total + of(each), 0);
  const covariance = sum(({ right }) => right) * all - sum(({ predicted, wanted }) => predicted * wanted);
  const spread = (of: (counts: Counts) => number): number => all * all - sum((each) => of(each) ** 2);
  const scale = Math.sqrt(spread(({ predicted }) => predicted) * spread(({ wanted }) => wanted));
  return scale === 0 ? 0 : covariance / scale;
}

/** Of several labels at once: rows that are right as a whole, and F1 over all labels and as their mean. */
export function multiLabelScores(
  wanted: readonly (readonly boolean[])[],
  predicted: readonly (readonly boolean[])[],
): Readonly<Record<string, number>> {
  const count = wanted[0]?.length ?? 0;
  const counts = Array.from({ length: count }, (_, at): Counts => ({
    right: wanted.filter((row, place) => row[at] === true && predicted[place]?.[at] === true).length,
    predicted: predicted.filter((row) => row[at] === true).length,
    wanted: wanted.filter((row) => row[at] === true).length,
  }));
  const total = counts.reduce(
    (sum, each) => ({
      right: sum.right + each.right,
      predicted: sum.predicted + each.predicted,
      wanted: sum.wanted + each.wanted,
    }),
    { right: 0, predicted: 0, wanted: 0 },
  );
  const exact = wanted.filter((row, at) => row.every((on, place) => on === predicted[at]?.[place])).length;
  return {
    accuracy: exact / wanted.length,
    f1: f1(total),
    f1_micro: f1(total),
    f1_macro: counts.reduce((sum, each) => sum + f1(each), 0) / count,
  };
}

/** Of numbers: the mean squared error, and Pearson's correlation (0 where one side is constant). */
export function regressionScores(
  wanted: readonly number[],
  predicted: readonly number[],
): Readonly<Record<string, number>> {
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [a, b] = [mean(wanted), mean(predicted)];
  const product = (left: readonly number[], x: number, right: readonly number[], y: number): number =>
    left.reduce((sum, value, at) => sum + (value - x) * ((right[at] ?? 0) - y), 0);
  const scale = Math.sqrt(product(wanted, a, wanted, a) * product(predicted, b, predicted, b));
  return {
    mse: mean(wanted.map((value, at) => (value - (predicted[at] ?? 0)) ** 2)),
    pearson: scale === 0 ? 0 : product(wanted, a, predicted, b) / scale,
  };
}

/**
 * The entities of IOB2, IOBES and bare tags as seqeval finds them: [type, first, one past the last]. A bare tag is its
 * own type, also where it begins with one of seqeval's letters (ORG, EVENT).
 */
export function entitiesOf(tags: readonly string[]): [type: string, start: number, end: number][] {
  const found: [string, number, number][] = [];
  let previous = ['O', ''] as [string, string];
  let begin = 0;
  for (const [at, tag] of [...tags, 'O'].entries()) {
    const own = partsOf(tag);
    if (endsEntity(previous, own)) found.push([previous[1], begin, at]);
    if (startsEntity(previous, own)) begin = at;
    previous = own;
  }
  return found;
}

/** Of `B-NAME` B and NAME; of `B` alone B and `_`; of a bare `NAME` I and NAME. */
function partsOf(tag: string): [prefix: string, type: string] {
  if (tag === 'O') return ['O', ''];
  const dash = tag.indexOf('-');
  if (dash > 0) return [tag.slice(0, 1), tag.slice(dash + 1)];
  return /^[BIES]$/.test(tag) ? [tag, '_'] : ['I', tag];
}

function endsEntity([before, type]: readonly [string, string], [prefix, now]: readonly [string, string]): boolean {
  if (before === 'O') return false;
  return before === 'E' || before === 'S' || prefix === 'B' || prefix === 'S' || prefix === 'O' || type !== now;
}

function startsEntity([before, type]: readonly [string, string], [prefix, now]: readonly [string, string]): boolean {
  if (prefix === 'O') return false;
  return prefix === 'B' || prefix === 'S' || before === 'E' || before === 'S' || before === 'O' || type !== now;
}

/** Precision, recall and F1 over entities (micro), and the share of right tags, as seqeval. */
export function entityScores(
  wanted: readonly (readonly string[])[],
  predicted: readonly (readonly string[])[],
): Readonly<Record<string, number>> {
  const counts: Counts = { right: 0, predicted: 0, wanted: 0 };
  let [tags, rightTags] = [0, 0];
  wanted.forEach((row, at) => {
    const said = predicted[at] ?? [];
    const own = new Set(entitiesOf(row).map(String));
    const other = entitiesOf(said).map(String);
    counts.wanted += own.size;
    counts.predicted += other.length;
    counts.right += other.filter((entity) => own.has(entity)).length;
    tags += row.length;
    rightTags += row.filter((tag, place) => tag === said[place]).length;
  });
  return {
    f1: f1(counts),
    precision: counts.predicted === 0 ? 0 : counts.right / counts.predicted,
    recall: counts.wanted === 0 ? 0 : counts.right / counts.wanted,
    accuracy: tags === 0 ? 0 : rightTags / tags,
  };
}

/** A text as SQuAD's script compares answers: lower case, without punctuation, articles and doubled blanks. */
export function plainAnswer(text: string): string {
  return text
    .toLowerCase()
    .replace(/[!-/:-@[-`{-~]/g, '')
    .replace(/\b(a|an|the)\b/g, ' ')
    .split(/\s+/)
    .filter((word) => word !== '')
    .join(' ');
}

/** The share of words that two answers have in common, as SQuAD's F1. */
export function answerF1(wanted: string, said: string): number {
  const [a, b] = [plainAnswer(wanted), plainAnswer(said)].map((text) => (text === '' ? [] : text.split(' ')));
  if (a === undefined || b === undefined || a.length === 0 || b.length === 0) return Number(a?.length === b?.length);
  const left = new Map<string, number>();
  for (const word of a) left.set(word, (left.get(word) ?? 0) + 1);
  let common = 0;
  for (const word of b) {
    const rest = left.get(word) ?? 0;
    if (rest > 0) common++;
    left.set(word, rest - 1);
  }
  return (2 * common) / (a.length + b.length);
}
