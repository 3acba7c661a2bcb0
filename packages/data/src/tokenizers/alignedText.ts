/**
 * Text on its way through a tokenizer, and where each of its UTF-16 units came from: the unit at `i` stands for the
 * original text from `starts[i]` to `ends[i]`. Without places (nobody asked for spans) only the text is kept.
 */
export class AlignedText {
  /** Whether this piece begins where the original text begins, which Metaspace asks. */
  readonly isFirst: boolean;

  constructor(
    readonly text: string,
    isFirst: boolean,
    readonly starts?: Int32Array,
    readonly ends?: Int32Array,
  ) {
    // Without places: a piece that something was taken from the front of counts as the first one all the same.
    this.isFirst = starts === undefined || starts.length === 0 ? isFirst : starts[0] === 0;
  }

  /** The original text; with places, each unit of a character stands for the whole character. */
  static of(text: string, withPlaces: boolean): AlignedText {
    if (!withPlaces) return new AlignedText(text, true);
    const starts = new Int32Array(text.length);
    const ends = new Int32Array(text.length);
    for (let at = 0; at < text.length;) {
      const size = unitsAt(text, at);
      for (let unit = 0; unit < size; unit++) {
        starts[at + unit] = at;
        ends[at + unit] = at + size;
      }
      at += size;
    }
    return new AlignedText(text, true, starts, ends);
  }

  slice(from: number, to: number): AlignedText {
    if (from === 0 && to === this.text.length) return this;
    return new AlignedText(
      this.text.slice(from, to),
      this.isFirst && from === 0,
      this.starts?.subarray(from, to),
      this.ends?.subarray(from, to),
    );
  }
}

/** Writes a text anew, piece by piece, and keeps the places. */
export class TextEditor {
  readonly #source: AlignedText;
  readonly #parts: string[] = [];
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];

  constructor(source: AlignedText) {
    this.#source = source;
  }

  /** Copies the source's units from `from` to `to`. */
  keep(from: number, to: number): void {
    if (to <= from) return;
    this.#parts.push(this.#source.text.slice(from, to));
    const { starts, ends } = this.#source;
    if (starts === undefined || ends === undefined) return;
    for (let at = from; at < to; at++) {
      this.#starts.push(starts[at] ?? 0);
      this.#ends.push(ends[at] ?? 0);
    }
  }

  /** Writes `text`, which stands for the source's units from `from` to `to`. */
  put(text: string, from: number, to: number): void {
    if (text === '') return;
    this.#parts.push(text);
    const { starts, ends } = this.#source;
    if (starts === undefined || ends === undefined) return;
    const start = to > from ? (starts[from] ?? 0) : 0;
    const end = to > from ? (ends[to - 1] ?? 0) : 0;
    for (let at = 0; at < text.length; at++) {
      this.#starts.push(start);
      this.#ends.push(end);
    }
  }

  done(): AlignedText {
    const text = this.#parts.join('');
    if (this.#source.starts === undefined) return new AlignedText(text, this.#source.isFirst);
    return new AlignedText(text, this.#source.isFirst, Int32Array.from(this.#starts), Int32Array.from(this.#ends));
  }
}

/** Whether two characters begin at `at`'s unit: the number of units of the character there. */
export function unitsAt(text: string, at: number): 1 | 2 {
  const high = text.charCodeAt(at);
  if (high < 0xd800 || high > 0xdbff || at + 1 >= text.length) return 1;
  const low = text.charCodeAt(at + 1);
  return low >= 0xdc00 && low <= 0xdfff ? 2 : 1;
}

/** Writes each character anew: `change` returns what takes its place (itself, nothing, more). */
export function mapCharacters(source: AlignedText, change: (character: string) => string): AlignedText {
  const editor = new TextEditor(source);
  const { text } = source;
  let kept = 0;
  for (let at = 0; at < text.length;) {
    const size = unitsAt(text, at);
    const character = text.slice(at, at + size);
    const changed = change(character);
    if (changed !== character) {
      editor.keep(kept, at);
      editor.put(changed, at, at + size);
      kept = at + size;
    }
    at += size;
  }
  if (kept === 0) return source;
  editor.keep(kept, text.length);
  return editor.done();
}
