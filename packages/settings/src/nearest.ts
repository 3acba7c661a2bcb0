/**
 * The known name that a person most likely meant: one that is another's alias, or at the least edit distance and not
 * too far.
 *
 * @param aliases what others call a known name
 */
export function nearestName(
  given: string,
  known: readonly string[],
  aliases?: (name: string) => readonly string[] | undefined,
): string | undefined {
  const asked = plain(given);
  const alias = known.find((name) => aliases?.(name)?.some((other) => plain(other) === asked));
  if (alias !== undefined) return alias;
  const [best] = known
    .map((name) => ({ name, distance: editDistance(asked, plain(name)) }))
    .sort((one, other) => one.distance - other.distance);
  const far = Math.max(1, Math.floor(asked.length / 3));
  return best !== undefined && best.distance <= far ? best.name : undefined;
}

/** `lora_alpha`, `loraAlpha` and `lora-alpha` are one name. */
function plain(name: string): string {
  return name.replaceAll(/[^a-z0-9]/gi, '').toLowerCase();
}

/** Letters to add, drop or change until one text is the other (Levenshtein), two swapped ones counted as one. */
export function editDistance(one: string, other: string): number {
  let before: number[] = [];
  let last = Array.from({ length: other.length + 1 }, (_, column) => column);
  for (let row = 1; row <= one.length; row++) {
    const next = [row];
    for (let column = 1; column <= other.length; column++) {
      const changed = one[row - 1] === other[column - 1] ? 0 : 1;
      const swapped = one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1];
      const [diagonal = 0, above = 0, left = 0] = [last[column - 1], last[column], next[column - 1]];
      const least = Math.min(diagonal + changed, above + 1, left + 1);
      next.push(swapped ? Math.min(least, (before[column - 2] ?? 0) + 1) : least);
    }
    [before, last] = [last, next];
  }
  return last[other.length] ?? 0;
}
