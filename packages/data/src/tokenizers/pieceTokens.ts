/** A piece's tokens: their ids, and where each ends in the piece, in UTF-16 units. */
export interface PieceTokens {
  readonly ids: readonly number[];
  readonly ends: readonly number[];
}

/** What makes tokens of pieces. */
export interface TokenModel {
  readonly type: 'BPE' | 'Unigram' | 'WordPiece' | 'WordLevel';
  readonly idOf: ReadonlyMap<string, number>;
  tokenize(piece: string): PieceTokens;
}
