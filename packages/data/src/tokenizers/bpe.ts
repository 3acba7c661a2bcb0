import { unitsAt } from './alignedText.js';
import { mergeSymbols, pairKey } from './bpeMerge.js';
import type { Merge, Symbols } from './bpeMerge.js';
import { unusablePart } from './partJson.js';
import type { PieceTokens, TokenModel } from './pieceTokens.js';

export interface BpeSettings {
  readonly vocabulary: ReadonlyMap<string, number>;
  readonly merges: readonly (readonly [string, string])[];
  readonly unknown: string | undefined;
  /** Written before every character but a piece's first, behind its last. */
  readonly prefix: string;
  readonly suffix: string;
  readonly fusesUnknown: boolean;
  readonly fallsBackToBytes: boolean;
  /** A piece that is a token is that token, whatever merges say. */
  readonly ignoresMerges: boolean;
  readonly place: string;
}

const utf8 = new TextEncoder();
/** Pieces up to this length are remembered. */
const rememberedLength = 64;
const remembered = 20_000;

/**
 * Byte-pair encoding (Sennrich et al. 2016) as in the Rust library: the earliest merge first, the leftmost of equals.
 */
export function bpeModel(settings: BpeSettings): TokenModel {
  const { vocabulary, unknown } = settings;
  const merges = mergesById(settings);
  const unknownId = unknown === undefined ? undefined : vocabulary.get(unknown);
  const joins = joiningPairs(settings);
  const cache = new Map<string, PieceTokens>();

  const tokenizePart = (text: string): PieceTokens => mergeSymbols(symbolsOf(text, settings, unknownId), merges);

  const tokenize = (piece: string): PieceTokens => {
    if (settings.ignoresMerges) {
      const whole = vocabulary.get(piece);
      if (whole !== undefined) return { ids: [whole], ends: [piece.length] };
    }
    if (joins === undefined || piece.length <= rememberedLength) return tokenizePart(piece);
    const ids: number[] = [];
    const ends: number[] = [];
    let from = 0;
    for (const to of separations(piece, joins, vocabulary)) {
      const part = remember(cache, piece.slice(from, to), tokenizePart);
      for (const id of part.ids) ids.push(id);
      for (const end of part.ends) ends.push(from + end);
      from = to;
    }
    return { ids, ends };
  };

  return { type: 'BPE', idOf: vocabulary, tokenize: (piece) => remember(cache, piece, tokenize) };
}

/** The characters of a text as ids: of the vocabulary, of their bytes, or the unknown token's. */
function symbolsOf(text: string, settings: BpeSettings, unknownId: number | undefined): Symbols {
  const { vocabulary, unknown, place } = settings;
  const ids: number[] = [];
  const ends: number[] = [];
  let pending: { end: number } | undefined;
  const flush = (): void => {
    if (pending === undefined) return;
    ids.push(unknownId ?? 0);
    ends.push(pending.end);
    pending = undefined;
  };
  for (let at = 0; at < text.length;) {
    const end = at + unitsAt(text, at);
    const character = text.slice(at, end);
    const name = (at > 0 ? settings.prefix : '') + character + (end === text.length ? settings.suffix : '');
    const id = vocabulary.get(name);
    at = end;
    if (id !== undefined) {
      flush();
      ids.push(id);
      ends.push(end);
      continue;
    }
    const bytes = settings.fallsBackToBytes ? byteIds(name, vocabulary) : undefined;
    if (bytes !== undefined) {
      for (const byte of bytes) {
        ids.push(byte);
        ends.push(end);
      }
      continue;
    }
    // Without an unknown token such characters are left out.
    if (unknown === undefined) continue;
    if (unknownId === undefined) throw unusablePart(place, 'a vocabulary that covers the text', noId(unknown));
    if (pending !== undefined && settings.fusesUnknown) pending.end = end;
    else {
      flush();
      pending = { end };
    }
  }
  flush();
  return { ids, ends };
}

function remember(
  cache: Map<string, PieceTokens>,
  piece: string,
  tokenize: (piece: string) => PieceTokens,
): PieceTokens {
  if (piece.length > rememberedLength) return tokenize(piece);
  const known = cache.get(piece);
  if (known !== undefined) return known;
  const tokens = tokenize(piece);
  if (cache.size >= remembered) cache.clear();
  cache.set(piece, tokens);
  return tokens;
}

/** Rank and result of each merge, by the ids of its sides. */
function mergesById({ vocabulary, merges, prefix, place }: BpeSettings): Map<number, Merge> {
  const byPair = new Map<number, Merge>();
  const idOf = (token: string): number => {
    const id = vocabulary.get(token);
    if (id === undefined) throw unusablePart(`merges in ${place}`, 'tokens of the vocabulary', noId(token));
    return id;
  };
  merges.forEach(([left, right], rank) => {
    const id = idOf(left + right.slice(prefix.length));
    byPair.set(pairKey(idOf(left), idOf(right)), { rank, id });
  });
  return byPair;
}

function byteIds(text: string, vocabulary: ReadonlyMap<string, number>): number[] | undefined {
  const ids: number[] = [];
  for (const byte of utf8.encode(text)) {
    const id = vocabulary.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
    if (id === undefined) return undefined;
    ids.push(id);
  }
  return ids;
}

/**
 * The pairs of neighboring characters that occur within a token that merges make. No merge reaches over any other pair,
 * so that a long piece (all of a text, in tokenizers without a splitter) falls into parts there: exact, and its time is
 * linear. Undefined where parts could not be tokenized alone.
 */
function joiningPairs({ merges, prefix, suffix }: BpeSettings): Set<string> | undefined {
  const isByte = (token: string): boolean => /^<0x[0-9A-F]{2}>$/.test(token);
  if (prefix !== '' || suffix !== '' || merges.some(([left, right]) => isByte(left) || isByte(right))) return undefined;
  const pairs = new Set<string>();
  for (const [left, right] of merges) {
    const characters = Array.from(left + right);
    for (let at = 1; at < characters.length; at++) pairs.add(`${characters[at - 1] ?? ''}${characters[at] ?? ''}`);
  }
  return pairs;
}

/** Where a piece may be cut, its end included: never between characters that may be unknown together. */
function* separations(
  piece: string,
  joins: ReadonlySet<string>,
  vocabulary: ReadonlyMap<string, number>,
): Generator<number, void, undefined> {
  let before = 0;
  let at: number = unitsAt(piece, 0);
  while (at < piece.length) {
    const end = at + unitsAt(piece, at);
    const isFree = vocabulary.has(piece.slice(at, end)) || vocabulary.has(piece.slice(before, at));
    if (isFree && !joins.has(piece.slice(before, end))) yield at;
    before = at;
    at = end;
  }
  yield piece.length;
}

function noId(token: string): string {
  return `no id for ${JSON.stringify(token)}`;
}
