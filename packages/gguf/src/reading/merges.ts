/**
 * The merges that a SentencePiece vocabulary implies: each token that two others make, the best score first
 * (transformers' `generate_merges`).
 *
 * @param vocabulary ids by text, in the order of the file
 * @param scoreOf of a token's id: where it is higher, the merge comes first
 */
export function impliedMerges(
  vocabulary: ReadonlyMap<string, number>,
  scoreOf: (id: number) => number,
): readonly (readonly [string, string])[] {
  const merges: Merge[] = [];
  for (const [text, id] of vocabulary) {
    const local: Merge[] = [];
    for (let at = 1; at < text.length; at++) {
      const [left, right] = [text.slice(0, at), text.slice(at)];
      const [leftId, rightId] = [vocabulary.get(left), vocabulary.get(right)];
      if (leftId !== undefined && rightId !== undefined)
        local.push({ left, right, leftId, rightId, score: scoreOf(id), sizes: [points(left), points(right)] });
    }
    local.sort((a, b) => a.leftId - b.leftId || a.rightId - b.rightId);
    merges.push(...local);
  }
  merges.sort((a, b) => b.score - a.score || b.sizes[0] - a.sizes[0] || b.sizes[1] - a.sizes[1]);
  return merges.map(({ left, right }) => [left, right]);
}

interface Merge {
  readonly left: string;
  readonly right: string;
  readonly leftId: number;
  readonly rightId: number;
  readonly score: number;
  /** Characters of both. */
  readonly sizes: readonly [number, number];
}

const points = (text: string): number => (/[\ud800-\udfff]/.test(text) ? Array.from(text).length : text.length);
