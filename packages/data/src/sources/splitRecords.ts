/** How a file's bytes fall into records. */
export type RecordFormat = 'jsonl' | 'json' | 'csv' | 'line' | 'paragraph' | 'document';

/** How to read a file. */
export interface FileFormat {
  readonly format: RecordFormat;
  /** Between the fields of a CSV file. Default: a comma. */
  readonly separator?: string;
}

/** A record of a file, where it lies in it. */
export interface RecordBytes {
  readonly bytes: Uint8Array;
  /** Of its first byte. */
  readonly start: number;
  /** The line it begins on, or of a JSON array its place; from 1. */
  readonly line: number;
}

/**
 * Cuts bytes into records as they come, each looked at once: lines (blank ones left out), the items of a JSON array,
 * the
 * records of a CSV file (RFC 4180: a line break within quotes belongs to its field), paragraphs. What separates records
 * is ASCII in all of these, so that UTF-8 needs no decoding first.
 */
export class RecordSplitter {
  readonly #marks: Marks;
  #pieces: Uint8Array[] = [];
  #at: number;
  #start: number;
  #line: number;
  #startLine: number;
  readonly #ordinal: boolean;

  /** @param place where the first byte lies, behind another record; default: the beginning */
  constructor(
    { format, separator }: FileFormat,
    { at = 0, line = 1 }: { readonly at?: number; readonly line?: number } = {},
  ) {
    this.#marks = marksOf(format, at > 0, separator);
    this.#ordinal = format === 'json';
    [this.#at, this.#start, this.#line, this.#startLine] = [at, at, line, line];
  }

  push(chunk: Uint8Array): RecordBytes[] {
    const found: RecordBytes[] = [];
    let from = this.#at === 0 && hasBom(chunk) ? 3 : 0;
    this.#at += from;
    for (const end of this.#marks.ends(chunk)) {
      this.#take(chunk.subarray(from, end));
      this.#finish(found);
      from = end;
    }
    this.#take(chunk.subarray(from));
    return found;
  }

  /** Whether the file breaks off within an array, or within quotes. */
  get unfinished(): boolean {
    return this.#marks.unfinished === true;
  }

  /** What is left behind the last end. */
  end(): RecordBytes[] {
    const found: RecordBytes[] = [];
    this.#finish(found);
    return found;
  }

  #take(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#pieces.push(bytes);
    this.#at += bytes.length;
  }

  #finish(found: RecordBytes[]): void {
    const bytes = joined(this.#pieces);
    this.#pieces = [];
    const kept = this.#marks.trim(bytes);
    if (kept.length > 0) {
      found.push({ bytes: kept, start: this.#start, line: this.#startLine });
      if (this.#ordinal) this.#line++;
    }
    if (!this.#ordinal) this.#line += countOf(bytes, newline);
    [this.#start, this.#startLine] = [this.#at, this.#line];
  }
}

interface Marks {
  readonly unfinished?: boolean;
  /** Where records end within the next bytes, each place one past the record and what separates it from the next. */
  ends(chunk: Uint8Array): Iterable<number>;
  /** The record alone; empty where there is none. */
  trim(bytes: Uint8Array): Uint8Array;
}

const [newline, carriage, quote, comma, backslash] = [0x0a, 0x0d, 0x22, 0x2c, 0x5c];
const [openList, closeList, openObject, closeObject] = [0x5b, 0x5d, 0x7b, 0x7d];

function marksOf(format: RecordFormat, inside: boolean, separator = ','): Marks {
  switch (format) {
    case 'json':
      return new ArrayMarks(inside);
    case 'csv':
      return new CsvMarks(separator.charCodeAt(0));
    case 'paragraph':
      return new ParagraphMarks();
    case 'document':
      return { ends: () => [], trim: (bytes) => bytes };
    case 'line':
      return { ends: lineEnds, trim: withoutLineEnd };
    default:
      return { ends: lineEnds, trim: trimBlank };
  }
}

function* lineEnds(chunk: Uint8Array): Generator<number, void, undefined> {
  for (let at = chunk.indexOf(newline); at >= 0; at = chunk.indexOf(newline, at + 1)) yield at + 1;
}

/** Behind a blank line. */
class ParagraphMarks implements Marks {
  #blank = false;

  *ends(chunk: Uint8Array): Generator<number, void, undefined> {
    for (const [at, byte] of chunk.entries()) {
      if (byte === newline && this.#blank) {
        this.#blank = false;
        yield at + 1;
      } else if (byte !== carriage) this.#blank = byte === newline;
    }
  }

  trim(bytes: Uint8Array): Uint8Array {
    const last = withoutBreak(bytes, bytes.length);
    const blank = withoutBreak(bytes, last);
    // The end of the last paragraph is no blank line.
    return blank < last ? bytes.subarray(0, blank) : bytes;
  }
}

class CsvMarks implements Marks {
  #quoted = false;
  /** At the beginning of a field, where a quote opens it; within another it is a letter. */
  #fieldStart = true;

  constructor(private readonly separator: number) {}

  get unfinished(): boolean {
    return this.#quoted;
  }

  *ends(chunk: Uint8Array): Generator<number, void, undefined> {
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at] ?? 0;
      if (this.#quoted) {
        // Of two quotes the second opens again.
        if (byte === quote) [this.#quoted, this.#fieldStart] = [false, true];
      } else if (byte === quote && this.#fieldStart) this.#quoted = true;
      else {
        this.#fieldStart = byte === newline || byte === this.separator;
        if (byte === newline) yield at + 1;
      }
    }
  }

  trim(bytes: Uint8Array): Uint8Array {
    return withoutLineEnd(bytes);
  }
}

/** Behind the comma after an item, or the end of the array. */
class ArrayMarks implements Marks {
  #depth: number;
  #quoted = false;
  #escaped = false;
  #over = false;

  constructor(inside: boolean) {
    this.#depth = inside ? 1 : 0;
  }

  get unfinished(): boolean {
    return !this.#over;
  }

  *ends(chunk: Uint8Array): Generator<number, void, undefined> {
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at] ?? 0;
      if (this.#quoted) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === backslash) this.#escaped = true;
        else if (byte === quote) this.#quoted = false;
      } else if (byte === quote) this.#quoted = true;
      else if (byte === openList || byte === openObject) {
        if (++this.#depth === 1 && !this.#over) yield at + 1;
      } else if (byte === closeList || byte === closeObject) {
        if (--this.#depth === 0) {
          yield at;
          this.#over = true;
        }
      } else if (byte === comma && this.#depth === 1) yield at + 1;
    }
  }

  trim(bytes: Uint8Array): Uint8Array {
    const record = trimBlank(bytes);
    if (record.length === 0 || (record.length === 1 && (record[0] === openList || record[0] === closeList)))
      return record.subarray(0, 0);
    return record.at(-1) === comma ? trimBlank(record.subarray(0, -1)) : record;
  }
}

/** Without blanks at both ends. */
function trimBlank(bytes: Uint8Array): Uint8Array {
  let [from, to] = [0, bytes.length];
  while (to > 0 && isBlank(bytes[to - 1])) to--;
  while (from < to && isBlank(bytes[from])) from++;
  return bytes.subarray(from, to);
}

/** Without the line's end; of a blank line nothing. */
function withoutLineEnd(bytes: Uint8Array): Uint8Array {
  return trimBlank(bytes).length === 0 ? bytes.subarray(0, 0) : bytes.subarray(0, withoutBreak(bytes, bytes.length));
}

/** Where a line break before `to` begins; `to` where there is none. */
function withoutBreak(bytes: Uint8Array, to: number): number {
  if (bytes[to - 1] !== newline) return to;
  return bytes[to - 2] === carriage ? to - 2 : to - 1;
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || (byte !== undefined && byte >= 0x09 && byte <= 0x0d);
}

function hasBom(bytes: Uint8Array): boolean {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const [first] = pieces;
  if (first !== undefined && pieces.length === 1) return first;
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

function countOf(bytes: Uint8Array, wanted: number): number {
  let count = 0;
  for (let at = bytes.indexOf(wanted); at >= 0; at = bytes.indexOf(wanted, at + 1)) count++;
  return count;
}
