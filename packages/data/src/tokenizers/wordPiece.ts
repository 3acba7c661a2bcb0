import { unusablePart } from './partJson.js';
import { unitsAt } from './alignedText.js';
import type { PieceTokens, TokenModel } from './pieceTokens.js';

/** WordPiece (Wu et al. 2016): the longest token that begins the rest, again and again, or the unknown token. */
export function wordPiece(
  idOf: ReadonlyMap<string, number>,
  { unknown, prefix, longest }: { readonly unknown: string; readonly prefix: string; readonly longest: number },
): TokenModel {
  let longestToken = 0;
  for (const token of idOf.keys()) longestToken = Math.max(longestToken, token.length);
  const unknownTokens = (piece: string): PieceTokens => {
    const id = idOf.get(unknown);
    if (id === undefined) throw unusablePart('vocab in model', `an id for the unknown token ${unknown}`, 'none');
    return { ids: [id], ends: [piece.length] };
  };
  return {
    type: 'WordPiece',
    idOf,
    tokenize(piece) {
      const borders = bordersOf(piece);
      if (borders.length - 1 > longest) return unknownTokens(piece);
      const ids: number[] = [];
      const ends: number[] = [];
      for (let from = 0; from < borders.length - 1;) {
        const start = borders[from] ?? 0;
        const mark = from > 0 ? prefix : '';
        let to = borders.length - 1;
        let id: number | undefined;
        for (; to > from; to--) {
          const end = borders[to] ?? 0;
          if (end - start + mark.length > longestToken) continue;
          id = idOf.get(mark + piece.slice(start, end));
          if (id !== undefined) break;
        }
        if (id === undefined) return unknownTokens(piece);
        ids.push(id);
        ends.push(borders[to] ?? 0);
        from = to;
      }
      return { ids, ends };
    },
  };
}

function bordersOf(piece: string): number[] {
  const borders = [0];
  for (let at = 0; at < piece.length;) borders.push((at += unitsAt(piece, at)));
  return borders;
}
