/** Marks one behind another; halfwidth voiced sounds become such. */
const runs = /[\p{M}\uff9e\uff9f]{32,}/gu;

/**
 * `String.prototype.normalize` in time by the length: the engines' own moves each mark to its place past those before
 * it, which takes half a minute for 200,000 marks of two classes. So long runs are decomposed and put in order first,
 * which changes no form.
 */
export function normalizeText(text: string, form: 'NFC' | 'NFD' | 'NFKC' | 'NFKD'): string {
  const decomposition = form.length === 3 ? 'NFD' : 'NFKD';
  return text.replace(runs, (run) => inOrder(run, decomposition)).normalize(form);
}

/** The last mark of Unicode's order (class 240). */
const last = '\u0345';

/** Each stretch of marks sorted by their classes, those of a class as they stood (Unicode, D109). */
function inOrder(run: string, form: 'NFD' | 'NFKD'): string {
  const marks = Array.from(run).flatMap((character) => Array.from(character.normalize(form)));
  const ranks = ranksOf(new Set(marks));
  let written = '';
  for (let from = 0; from < marks.length;) {
    let to = from;
    while (to < marks.length && ranks.has(marks[to] ?? '')) to++;
    written += marks
      .slice(from, to)
      .sort((one, other) => (ranks.get(one) ?? 0) - (ranks.get(other) ?? 0))
      .join('');
    // What has no class is passed by no mark.
    written += marks[to] ?? '';
    from = to + 1;
  }
  return written;
}

/** The order of the marks that have a class; JavaScript does not tell classes, but puts two marks in order. */
function ranksOf(marks: ReadonlySet<string>): Map<string, number> {
  const comesFirst = (one: string, other: string): boolean => (other + one).normalize('NFD') === one + other;
  const classed = [...marks].filter((mark) => mark === last || comesFirst(mark, last));
  classed.sort((one, other) => (one === other ? 0 : comesFirst(one, other) ? -1 : comesFirst(other, one) ? 1 : 0));
  let rank = 0;
  return new Map(
    classed.map((mark, at) => {
      const before = classed[at - 1];
      if (before !== undefined && comesFirst(before, mark)) rank++;
      return [mark, rank];
    }),
  );
}
