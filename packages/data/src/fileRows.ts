import { LowrankError } from '@lowrank/errors';
import { splitAfter } from './completionAfter.js';
import type { LoadDatasetOptions } from './dataset.js';
import { encodeChecked } from './dataset.js';
import type { EncodedRow, EncodeRowOptions } from './encodeRow.js';
import { shuffled } from './random.js';
import { RowCollector } from './readRows.js';
import { rowOf } from './rowForms.js';
import { RecordIndex } from './sources/recordIndex.js';
import type { OpenedFile } from './sources/records.js';
import { RecordReader, splitRecords } from './sources/records.js';
import type { FileFormat, RecordBytes } from './sources/splitRecords.js';
import type { TextRow } from './textRow.js';
import { isChat } from './textRow.js';
import type { TextTokenizer } from './tokenizer.js';
import type { TrainingRows } from './trainingRows.js';
import { countBelow } from './trainingRows.js';
import { drawOf, heldOutBelow } from './validationCut.js';

/** Rows that stay in their files, read and encoded when they are drawn. */
export interface FileRows {
  /** All of them, or of a cut those to learn from. */
  readonly train: FileSide;
  /** The other side of a cut. */
  readonly validation: FileSide | undefined;
  readonly forms: ReadonlyMap<string, number>;
  close(): Promise<void>;
}

/** One side of a cut: rows by their place, as text and encoded. */
export interface FileSide {
  readonly rows: TrainingRows;
  /** A few rows, drawn by the seed, in the order of the file. */
  sample(count: number, seed: number): Promise<TextRow[]>;
}

type FileRowsOptions = LoadDatasetOptions & {
  readonly validation?: { readonly size: number; readonly seed: number } | undefined;
};

/**
 * Reads files once from end to end, checks every row, and keeps where each lies.
 *
 * @throws LowrankError what readFiles throws
 */
export async function fileRows(
  files: readonly OpenedFile[],
  tokenizer: TextTokenizer,
  options: FileRowsOptions,
): Promise<FileRows> {
  const { validation, name = 'data' } = options;
  const collector = new RowCollector(options);
  const places: IndexedFile[] = [];
  const draws = new GrowingNumbers();
  const longest = new LongestRecords();
  let [count, chats] = [0, false];
  for (const file of files) {
    const place = new IndexedFile(file, options);
    places.push(place);
    collector.begin(file.name, file.kind.format === 'json' ? 'row' : 'line');
    for await (const { record, row } of place.readAll(collector)) {
      chats ||= isChat(row);
      if (validation !== undefined) draws.push(drawOf(row, validation.seed));
      longest.see(count++, record.bytes.length);
    }
  }
  const forms = collector.finish();
  const template = chats ? options.chatTemplate : undefined;
  const encoding = { ...options, name, chatTemplate: typeof template === 'function' ? await template() : template };
  const all = new RowsOfFiles(places, { tokenizer, encoding });
  const held = validation === undefined ? [] : heldRecords(draws.numbers, { size: validation.size, name });
  return {
    train: side(all, {
      longest,
      length: count - held.length,
      recordOf: (at) => restPlace(held, at),
      isHeld: false,
      held,
    }),
    validation:
      validation === undefined
        ? undefined
        : side(all, { longest, length: held.length, recordOf: (at) => held[at] ?? 0, isHeld: true, held }),
    forms,
    close: () => all.close(),
  };
}

function heldRecords(draws: Uint32Array, options: { readonly size: number; readonly name: string }): Uint32Array {
  const threshold = heldOutBelow(draws, options);
  const held = new GrowingNumbers();
  draws.forEach((draw, record) => {
    if (draw <= threshold) held.push(record);
  });
  return held.numbers;
}

/** The record of a row by its place among those that are not held out. */
function restPlace(held: ArrayLike<number>, at: number): number {
  // The first held[k] with held[k] - k > at: k of them lie before the row.
  let [low, high] = [0, held.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((held[middle] ?? 0) - middle <= at) low = middle + 1;
    else high = middle;
  }
  return at + low;
}

interface Side {
  readonly longest: LongestRecords;
  readonly length: number;
  readonly recordOf: (at: number) => number;
  readonly held: ArrayLike<number>;
  readonly isHeld: boolean;
}

function side(all: RowsOfFiles, { longest, length, recordOf, held, isHeld }: Side): FileSide {
  return {
    rows: {
      length,
      kept: length,
      at: (index) => all.encoded(recordOf(index)),
      async longest(count) {
        const rows: EncodedRow[] = [];
        for (const record of longest.records) {
          if ((held[countBelow(held, record)] === record) !== isHeld) continue;
          const row = await all.encoded(record);
          if (row !== undefined) rows.push(row);
        }
        return rows.sort((one, other) => other.ids.length - one.ids.length).slice(0, count);
      },
      close: () => all.close(),
    },
    async sample(count, seed) {
      const drawn = length <= count ? Uint32Array.from({ length }, (_, at) => at) : someOf(length, count, seed);
      const rows: TextRow[] = [];
      for (const at of drawn) rows.push(await all.row(recordOf(at)));
      return rows;
    },
  };
}

/** `count` different places, ascending: one from each of as many stretches. */
function someOf(length: number, count: number, seed: number): Uint32Array {
  const stretch = Math.floor(length / count);
  const offsets = shuffled(stretch, { seed: seed >>> 0, stream: 3 });
  return Uint32Array.from({ length: count }, (_, at) => at * stretch + (offsets[at % stretch] ?? 0));
}

/** A file with the places of its records. */
class IndexedFile {
  readonly index: RecordIndex;
  readonly #reader: RecordReader;
  readonly #format: FileFormat;

  constructor(
    private readonly file: OpenedFile,
    private readonly options: FileRowsOptions,
  ) {
    if (file.kind.format === 'parquet') throw new TypeError('Parquet is spooled first');
    this.#format = file.kind;
    this.index = new RecordIndex(file.name, file.kind);
    this.#reader = new RecordReader(file.kind, file.name);
  }

  async *readAll(collector: RowCollector): AsyncGenerator<{ record: RecordBytes; row: TextRow }, void, undefined> {
    for await (const records of splitRecords(this.file.source.stream(), this.#format, this.file.name))
      for (const record of records) {
        const value = this.#reader.read(record);
        const row = value === undefined ? undefined : collector.add(value);
        if (row === undefined) continue;
        this.index.add(record);
        yield { record, row: this.#split(row) };
      }
  }

  async row(record: number): Promise<TextRow> {
    const { parts } = this.file.source;
    if (parts === undefined) throw new TypeError(`${this.file.name} cannot be read at a place`);
    const value = this.#reader.read(await this.index.read(record, parts));
    const found = value !== undefined && 'value' in value ? rowOf(value.value, value.line, this.options) : value;
    if (found !== undefined && 'row' in found) return this.#split(found.row);
    throw new LowrankError({
      code: 'data.changed',
      what: `${this.file.name}, line ${value?.line ?? 0}`,
      expected: 'the row that was there when training began',
      got: 'something else',
      remedy: 'Leave the file as it is while it is trained on.',
    });
  }

  async close(): Promise<void> {
    await this.file.source.close();
  }

  #split(row: TextRow): TextRow {
    const { completionAfter: marker } = this.options;
    return marker === undefined ? row : (splitAfter([row], { marker, name: this.file.name })[0] ?? row);
  }
}

/** The records of several files, one after another. */
class RowsOfFiles {
  readonly #firsts: number[];
  #closed = false;

  constructor(
    private readonly files: readonly IndexedFile[],
    private readonly options: {
      readonly tokenizer: TextTokenizer;
      readonly encoding: EncodeRowOptions & { readonly name: string; readonly vocabularySize?: number };
    },
  ) {
    let first = 0;
    this.#firsts = files.map(({ index }) => (first += index.length) - index.length);
  }

  row(record: number): Promise<TextRow> {
    const at = countBelow(this.#firsts, record + 1) - 1;
    const file = this.files[at];
    if (file === undefined) throw new RangeError(`record ${record}`);
    return file.row(record - (this.#firsts[at] ?? 0));
  }

  /** undefined for a row without a token to learn. */
  async encoded(record: number): Promise<EncodedRow | undefined> {
    const { tokenizer, encoding } = this.options;
    const row = encodeChecked(await this.row(record), tokenizer, encoding);
    return row.labelTokens === 0 ? undefined : row;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const file of this.files) await file.close();
  }
}

/** Whole numbers, as many as come. */
class GrowingNumbers {
  #values = new Uint32Array(1024);
  #count = 0;

  push(value: number): void {
    if (this.#count === this.#values.length) {
      const larger = new Uint32Array(this.#count * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#count++] = value;
  }

  get numbers(): Uint32Array {
    return this.#values.subarray(0, this.#count);
  }
}

/** Some records of most bytes, which come near the most tokens. */
class LongestRecords {
  readonly #found: { readonly record: number; readonly bytes: number }[] = [];

  get records(): readonly number[] {
    return this.#found.map(({ record }) => record);
  }

  see(record: number, bytes: number): void {
    if (this.#found.length === keptLongest && bytes <= (this.#found.at(-1)?.bytes ?? 0)) return;
    const at = this.#found.findIndex((one) => one.bytes < bytes);
    this.#found.splice(at < 0 ? this.#found.length : at, 0, { record, bytes });
    if (this.#found.length > keptLongest) this.#found.pop();
  }
}

const keptLongest = 128;
