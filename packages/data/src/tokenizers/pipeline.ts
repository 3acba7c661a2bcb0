import type { AddedToken } from './addedTokens.js';
import { AddedTokens, readAddedToken } from './addedTokens.js';
import { AlignedText, unitsAt } from './alignedText.js';
import { byteOfLetter } from './byteLetters.js';
import type { TokenDecoder } from './decoders.js';
import { readDecoder } from './decoders.js';
import { readNormalizer } from './normalizers.js';
import type { PartJson } from './partJson.js';
import { isPart, unusablePart } from './partJson.js';
import type { PostProcessor } from './postProcessors.js';
import { readPostProcessor } from './postProcessors.js';
import type { PreTokenizer } from './preTokenizers.js';
import { readPreTokenizer } from './preTokenizers.js';
import type { TokenModel } from './pieceTokens.js';
import { readModel } from './tokenModel.js';

/** A stretch of text: from `start` up to `end`, as JavaScript counts. */
export interface TextSpan {
  readonly start: number;
  readonly end: number;
}

/**
 * A tokenizer.json at work: added tokens, normalizer, pre-tokenizer, model, post-processor, decoder, as in the Rust
 * library `tokenizers` (0.23).
 */
export class TokenizerPipeline {
  readonly model: TokenModel;
  readonly added: AddedTokens;
  readonly post: PostProcessor;
  readonly #preTokenizer: PreTokenizer | undefined;
  readonly #decoder: TokenDecoder | undefined;
  readonly #tokens: string[] = [];
  /** Which piece is the first is told by places where others than Metaspace change and cut the text before it. */
  readonly #needsPlaces: boolean;

  /** @throws LowrankError `data.tokenizer` for what the library would not read, and for what cannot be done here */
  constructor(json: PartJson, { splitsSpecialTokens = false }: { readonly splitsSpecialTokens?: boolean } = {}) {
    const normalizer = readNormalizer(json['normalizer']);
    this.model = readModel(json['model']);
    this.added = new AddedTokens(this.model.idOf, { normalizer, splitsSpecialTokens });
    this.#preTokenizer = readPreTokenizer(json['pre_tokenizer']);
    const first = JSON.stringify(json['pre_tokenizer'] ?? null).includes('"prepend_scheme":"first"');
    this.#needsPlaces =
      first &&
      (normalizer !== undefined || !isPart(json['pre_tokenizer']) || json['pre_tokenizer']['type'] === 'Sequence');
    this.post = readPostProcessor(json['post_processor']);
    this.#decoder = readDecoder(json['decoder']);
    for (const [token, id] of this.model.idOf) this.#tokens[id] = token;
    this.added.add(addedTokensOf(json['added_tokens']));
  }

  /** Ids of the text alone. */
  encode(text: string): number[] {
    const ids: number[] = [];
    for (const part of this.added.split(AlignedText.of(wellFormed(text), this.#needsPlaces))) {
      if (part.id !== undefined) ids.push(part.id);
      else for (const { text: piece } of this.#pieces(part.text)) pushAll(ids, this.model.tokenize(piece).ids);
    }
    return ids;
  }

  /** Ids of the text alone, and the part of the text that each came from. */
  encodeWithSpans(text: string): { ids: number[]; spans: TextSpan[] } {
    const ids: number[] = [];
    const spans: TextSpan[] = [];
    // Unigram calls a token what it stands for, the others what the vocabulary calls it.
    const spelling = (id: number, own: string): string =>
      this.model.type === 'Unigram' && !isByteToken(this.#tokens[id]) ? own : (this.#tokens[id] ?? '');
    const add = (
      piece: AlignedText,
      tokens: { ids: readonly number[]; ends: readonly number[] },
      written: (id: number, own: string) => string,
    ): void => {
      let from = 0;
      tokens.ids.forEach((id, at) => {
        const to = tokens.ends[at] ?? from;
        ids.push(id);
        spans.push(
          this.#trimmed(spanOf(piece, from, to), {
            text,
            token: written(id, piece.text.slice(from, to)),
            isFirst: ids.length === 1,
          }),
        );
        // Tokens of the bytes of one character share its end, and its beginning.
        if (tokens.ends[at + 1] !== to) from = to;
      });
    };
    for (const part of this.added.split(AlignedText.of(wellFormed(text), true))) {
      if (part.id !== undefined) add(part.text, { ids: [part.id], ends: [part.text.text.length] }, (_, own) => own);
      else for (const piece of this.#pieces(part.text)) add(piece, this.model.tokenize(piece.text), spelling);
    }
    return { ids, spans };
  }

  decode(ids: ArrayLike<number>, skipSpecialTokens: boolean): string {
    const tokens: string[] = [];
    for (let at = 0; at < ids.length; at++) {
      const id = ids[at] ?? -1;
      const token = this.added.decodedText(id) ?? this.#tokens[id];
      if (token !== undefined && !(skipSpecialTokens && this.added.isSpecial(token))) tokens.push(token);
    }
    return this.#decoder === undefined ? tokens.join(' ') : this.#decoder(tokens).join('');
  }

  tokenOf(id: number): string | undefined {
    return this.added.byId(id)?.content ?? this.#tokens[id];
  }

  idOf(token: string): number | undefined {
    return this.added.idOf(token);
  }

  get vocabularySize(): number {
    return this.added.entries.reduce((size, [id]) => Math.max(size, id + 1), this.#tokens.length);
  }

  #pieces(text: AlignedText): readonly AlignedText[] {
    if (text.text === '') return [];
    return this.#preTokenizer === undefined ? [text] : this.#preTokenizer(text);
  }

  /** A byte-level token's span without the blanks at its ends. */
  #trimmed(
    span: TextSpan,
    { text, token, isFirst }: { readonly text: string; readonly token: string; readonly isFirst: boolean },
  ): TextSpan {
    const { trims } = this.post;
    if (trims === undefined) return span;
    const letters = Array.from(token);
    const firstOther = letters.findIndex((letter) => !isBlankByte(letter));
    let before = firstOther < 0 ? letters.length : firstOther;
    let after = 0;
    while (after < letters.length && isBlankByte(letters[letters.length - 1 - after] ?? '')) after++;
    // One blank may have been put before the text; several were there.
    if ((isFirst || span.start === 0) && trims.keepsPrefix && before === 1) before = 0;
    let { start, end } = span;
    for (; before > 0 && start < end; before--) start += unitsAt(text, start);
    for (; after > 0 && end > start; after--) end -= end > 1 && unitsAt(text, end - 2) === 2 ? 2 : 1;
    return { start, end };
  }
}

function isByteToken(token: string | undefined): boolean {
  return token !== undefined && /^<0x[0-9A-F]{2}>$/.test(token);
}

function isBlankByte(letter: string): boolean {
  const byte = byteOfLetter.get(letter);
  return byte === 0x20 || /^\p{White_Space}$/u.test(letter);
}

function spanOf(piece: AlignedText, from: number, to: number): TextSpan {
  if (to <= from) return { start: piece.starts?.[from] ?? 0, end: piece.starts?.[from] ?? 0 };
  return { start: piece.starts?.[from] ?? 0, end: piece.ends?.[to - 1] ?? 0 };
}

function pushAll(list: number[], more: readonly number[]): void {
  for (const each of more) list.push(each);
}

/** Halves of surrogate pairs cannot be said in UTF-8. */
function wellFormed(text: string): string {
  return /[\ud800-\udfff]/.test(text)
    ? text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '\ufffd')
    : text;
}

function addedTokensOf(list: unknown): AddedToken[] {
  if (list === undefined || list === null) return [];
  if (!Array.isArray(list)) throw unusablePart('added_tokens', 'a list', list);
  return list.map((json: unknown, at) => readAddedToken(json, `added_tokens.${at}`));
}
