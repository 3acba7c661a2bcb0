import type { AlignedText } from './alignedText.js';
import { AlignedText as Text } from './alignedText.js';
import type { Normalizer } from './normalizers.js';
import { flagOf, isPart, unusablePart } from './partJson.js';

/** A token that is found in a text before the model sees it. */
export interface AddedToken {
  readonly content: string;
  /** Left out of decoded texts. */
  readonly special: boolean;
  /** Not within a word. */
  readonly singleWord: boolean;
  /** Takes the blanks before it, or behind it. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  /** Looked for in the normalized text, not in the text as it is. */
  readonly normalized: boolean;
}

/** A piece of text, or an added token in it. */
export interface TextPart {
  readonly text: AlignedText;
  readonly id: number | undefined;
}

/** The added tokens of a tokenizer, with the ids that they get in the order of their coming. */
export class AddedTokens {
  readonly #model: ReadonlyMap<string, number>;
  readonly #normalizer: Normalizer | undefined;
  readonly #splitsSpecialTokens: boolean;
  readonly #idOf = new Map<string, number>();
  readonly #byId = new Map<number, AddedToken>();
  readonly #decoded = new Map<number, string>();
  readonly #specials = new Set<string>();
  #plain = new TokenFinder([]);
  #normalized = new TokenFinder([]);

  /** @param options.splitsSpecialTokens special tokens in a text are text like any other */
  constructor(
    model: ReadonlyMap<string, number>,
    options: { readonly normalizer: Normalizer | undefined; readonly splitsSpecialTokens: boolean },
  ) {
    this.#model = model;
    this.#normalizer = options.normalizer;
    this.#splitsSpecialTokens = options.splitsSpecialTokens;
  }

  /**
   * Adds tokens as the Rust library does: one that the vocabulary has keeps its id, another gets the next free one; one
   * that is there already gets the new flags.
   */
  add(tokens: readonly AddedToken[]): void {
    for (const token of tokens) {
      if (token.content === '') continue;
      const id = this.idOf(token.content) ?? this.#nextId();
      this.#idOf.set(token.content, id);
      this.#byId.set(id, token);
      this.#decoded.set(id, token.normalized ? this.#written(token) : token.content);
      if (token.special) this.#specials.add(token.content);
    }
    const entries = [...this.#byId].map(([id, token]) => ({ id, token }));
    this.#plain = new TokenFinder(
      entries.filter(({ token }) => !token.normalized).map((entry) => ({ ...entry, content: entry.token.content })),
    );
    this.#normalized = new TokenFinder(
      entries
        .filter(({ token }) => token.normalized)
        .map((entry) => ({ ...entry, content: this.#written(entry.token) })),
    );
  }

  get entries(): readonly (readonly [id: number, token: AddedToken])[] {
    return [...this.#byId];
  }

  idOf(content: string): number | undefined {
    return this.#idOf.get(content) ?? this.#model.get(content);
  }

  byId(id: number): AddedToken | undefined {
    return this.#byId.get(id);
  }

  /** What decoding writes: tokens that are looked for in normalized text are written so. */
  decodedText(id: number): string | undefined {
    return this.#decoded.get(id);
  }

  /** Whether a special token has this text. */
  isSpecial(text: string): boolean {
    return this.#specials.has(text);
  }

  /** The text cut at added tokens; what lies between them is normalized. */
  split(text: AlignedText): TextPart[] {
    return this.#plain.split(text, this.#splitsSpecialTokens).flatMap((part) => {
      if (part.id !== undefined) return [part];
      return this.#normalized.split(this.#normalizer?.(part.text) ?? part.text, this.#splitsSpecialTokens);
    });
  }

  #written(token: AddedToken): string {
    return this.#normalizer?.(Text.of(token.content, false)).text ?? token.content;
  }

  #nextId(): number {
    let largest = -1;
    for (const id of this.#idOf.values()) largest = Math.max(largest, id);
    return largest >= this.#model.size ? largest + 1 : this.#model.size;
  }
}

interface Sought {
  readonly id: number;
  readonly token: AddedToken;
  readonly content: string;
}

interface Node {
  readonly next: Map<number, Node>;
  found?: Sought;
}

/** Finds tokens in a text: the leftmost, and of those that begin together the longest. */
class TokenFinder {
  readonly #root: Node = { next: new Map() };
  readonly #first: RegExp | undefined;

  constructor(sought: readonly Sought[]) {
    const first = new Set<string>();
    for (const each of sought) {
      if (each.content === '')
        throw unusablePart(
          `the added token ${JSON.stringify(each.token.content)}`,
          'text that is left when it is normalized',
          'none: it would be found everywhere',
        );
      first.add(each.content.charAt(0));
      let node = this.#root;
      for (let at = 0; at < each.content.length; at++) {
        const unit = each.content.charCodeAt(at);
        let next = node.next.get(unit);
        if (next === undefined) node.next.set(unit, (next = { next: new Map() }));
        node = next;
      }
      node.found ??= each;
    }
    const letters = [...first].map((letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`);
    this.#first = letters.length === 0 ? undefined : new RegExp(`[${letters.join('')}]`, 'g');
  }

  split(source: AlignedText, splitsSpecialTokens: boolean): TextPart[] {
    const { text } = source;
    if (text === '') return [];
    const parts: TextPart[] = [];
    let done = 0;
    /** From here to `done` all is blank. */
    let blank = Infinity;
    const put = (from: number, to: number, id?: number): void => {
      if (to > from) parts.push({ text: source.slice(from, to), id });
    };
    for (const { found, from, to } of this.#matches(text)) {
      const { token } = found;
      if ((token.special && splitsSpecialTokens) || (token.singleWord && isWithinWord(text, from, to))) continue;
      let [start, end] = [from, to];
      if (token.lstrip) {
        while (start > done && isBlank(text, start - 1)) start--;
        start = Math.max(start, done);
      }
      if (token.rstrip) {
        // Blanks that a token before has taken end where they ended then.
        if (end < done && end >= blank) end = done;
        else blank = end;
        while (end < text.length && isBlank(text, end)) end++;
      }
      // Blanks that the token before took may be a token of their own: it comes again, as in the Rust library.
      put(done, start);
      put(start, end, found.id);
      done = end;
    }
    put(done, text.length);
    return parts;
  }

  *#matches(text: string): Generator<{ found: Sought; from: number; to: number }, void, undefined> {
    if (this.#first === undefined) return;
    this.#first.lastIndex = 0;
    for (let hit = this.#first.exec(text); hit !== null; hit = this.#first.exec(text)) {
      const from = hit.index;
      let node: Node | undefined = this.#root;
      let best: { found: Sought; to: number } | undefined;
      for (let at = from; at < text.length; at++) {
        node = node.next.get(text.charCodeAt(at));
        if (node === undefined) break;
        if (node.found !== undefined) best = { found: node.found, to: at + 1 };
      }
      this.#first.lastIndex = best?.to ?? from + 1;
      if (best !== undefined) {
        const resume: number = this.#first.lastIndex;
        yield { ...best, from };
        this.#first.lastIndex = resume;
      }
    }
  }
}

function isBlank(text: string, at: number): boolean {
  return /\p{White_Space}/u.test(text.charAt(at));
}

function isWithinWord(text: string, from: number, to: number): boolean {
  return wordEnd.test(text.slice(Math.max(0, from - 2), from)) || wordStart.test(text.slice(to, to + 2));
}

const wordEnd = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200c\u200d]$/u;
const wordStart = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200c\u200d]/u;

/** An added token with its flags, as tokenizer.json and `added_tokens_decoder` write it. */
export function readAddedToken(json: unknown, place: string): AddedToken {
  if (!isPart(json) || typeof json['content'] !== 'string') throw unusablePart(place, 'an object with "content"', json);
  const special = flagOf(json, 'special', place, false);
  return {
    content: json['content'],
    special,
    singleWord: flagOf(json, 'single_word', place, false),
    lstrip: flagOf(json, 'lstrip', place, false),
    rstrip: flagOf(json, 'rstrip', place, false),
    normalized: flagOf(json, 'normalized', place, !special),
  };
}
