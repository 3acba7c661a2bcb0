import { unitsAt } from './alignedText.js';
import { unusablePart } from './partJson.js';
import type { PieceTokens, TokenModel } from './pieceTokens.js';

export interface UnigramSettings {
  /** Tokens with their scores. */
  readonly pieces: readonly (readonly [string, number])[];
  readonly unknownId: number | undefined;
  readonly fallsBackToBytes: boolean;
  readonly place: string;
}

/** What a character that no token covers costs beyond the least likely token. */
const unknownPenalty = 10;
const utf8 = new TextEncoder();

/**
 * Unigram (Kudo 2018): the likeliest way to write a piece with tokens, by Viterbi's algorithm. Characters without a
 * token next to each other are one unknown token, or bytes where the model falls back to them.
 */
export function unigramModel(settings: UnigramSettings): TokenModel {
  const { pieces, unknownId, place } = settings;
  const idOf = new Map(pieces.map(([token], id) => [token, id]));
  const trie = new Trie();
  let leastScore = Infinity;
  for (const [, score] of pieces) leastScore = Math.min(leastScore, score);
  for (const [token, id] of idOf) if (token !== '') trie.add(token, id);
  const unknownScore = leastScore - unknownPenalty;
  const scores = Float64Array.from(pieces, ([, score]) => score);

  const best = (piece: string): { ids: Int32Array; starts: Int32Array } => {
    const ids = new Int32Array(piece.length + 1);
    const starts = new Int32Array(piece.length + 1).fill(-1);
    const totals = new Float64Array(piece.length + 1);
    const offer = (from: number, to: number, id: number, score: number): void => {
      const total = score + (totals[from] ?? 0);
      if ((starts[to] ?? -1) >= 0 && !(total > (totals[to] ?? 0))) return;
      totals[to] = total;
      starts[to] = from;
      ids[to] = id;
    };
    for (let at = 0; at < piece.length;) {
      const size = unitsAt(piece, at);
      let hasSingle = false;
      trie.each(piece, at, (end, id) => {
        offer(at, end, id, scores[id] ?? 0);
        hasSingle ||= end - at === size;
      });
      if (!hasSingle) {
        if (unknownId === undefined)
          throw unusablePart(place, 'an unk_id, or a vocabulary that covers the text', piece.slice(at, at + size));
        offer(at, at + size, unknownId, unknownScore);
      }
      at += size;
    }
    return { ids, starts };
  };

  return {
    type: 'Unigram',
    idOf,
    tokenize(piece) {
      const { ids, starts } = best(piece);
      const found: { id: number; from: number; to: number }[] = [];
      for (let to = piece.length; to > 0; to = starts[to] ?? 0) {
        const [id, from] = [ids[to] ?? 0, starts[to] ?? 0];
        const after = found.at(-1);
        if (id === unknownId && after?.id === id) after.from = from;
        else found.push({ id, from, to });
      }
      return written(found.reverse(), piece, { ...settings, idOf });
    },
  };
}

function written(
  found: readonly { id: number; from: number; to: number }[],
  piece: string,
  { idOf, unknownId, fallsBackToBytes }: UnigramSettings & { readonly idOf: ReadonlyMap<string, number> },
): PieceTokens {
  const ids: number[] = [];
  const ends: number[] = [];
  for (const { id, from, to } of found) {
    const text = piece.slice(from, to);
    // Unknown characters side by side may spell a token together.
    const known = id === unknownId ? idOf.get(text) : id;
    const bytes = known === undefined && fallsBackToBytes ? byteIds(text, idOf) : undefined;
    for (const each of bytes ?? [known ?? unknownId ?? id]) {
      ids.push(each);
      ends.push(to);
    }
  }
  return { ids, ends };
}

function byteIds(text: string, idOf: ReadonlyMap<string, number>): number[] | undefined {
  const ids: number[] = [];
  for (const byte of utf8.encode(text)) {
    const id = idOf.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
    if (id === undefined) return undefined;
    ids.push(id);
  }
  return ids;
}

/** Tokens by their UTF-16 units: an edge's key is its node times 2¹⁶ plus the unit. */
class Trie {
  readonly #edges = new Map<number, number>();
  readonly #ids: number[] = [-1];

  add(token: string, id: number): void {
    let node = 0;
    for (let at = 0; at < token.length; at++) {
      const key = node * 65536 + token.charCodeAt(at);
      let next = this.#edges.get(key);
      if (next === undefined) {
        next = this.#ids.length;
        this.#ids.push(-1);
        this.#edges.set(key, next);
      }
      node = next;
    }
    this.#ids[node] = id;
  }

  /** Calls back for every token that begins at `from`, the shortest first. */
  each(text: string, from: number, found: (end: number, id: number) => void): void {
    let node = 0;
    for (let at = from; at < text.length; at++) {
      const next = this.#edges.get(node * 65536 + text.charCodeAt(at));
      if (next === undefined) return;
      node = next;
      const id = this.#ids[node] ?? -1;
      if (id >= 0) found(at + 1, id);
    }
  }
}
