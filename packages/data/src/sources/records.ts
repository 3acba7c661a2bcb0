import { LowrankError } from '@lowrank/errors';
import { parseJsonWithFloats } from '../jsonFloats.js';
import type { RowProblem } from '../textRow.js';
import { unreadable } from '../textFiles.js';
import type { ByteSource } from './byteSource.js';
import { streamed } from './byteSource.js';
import { csvFields } from './csvFields.js';
import type { FileKind, textSamples } from './fileKind.js';
import { fileKind } from './fileKind.js';
import type { FileFormat, RecordBytes } from './splitRecords.js';
import { RecordSplitter } from './splitRecords.js';

/** A record as a value, or what is wrong with it. */
export type RecordValue = { readonly line: number; readonly value: unknown } | RowProblem;

export interface RecordOptions {
  readonly sampleBy?: (typeof textSamples)[number] | undefined;
}

/** A file that was begun to be read: what it is, and its bytes from the first. */
export interface OpenedFile {
  readonly name: string;
  readonly kind: FileKind;
  readonly isCompressed: boolean;
  /** The size of a compressed file. */
  readonly packedBytes?: number;
  readonly source: ByteSource;
}

/**
 * Finds out what a file is, and unpacks gzip.
 *
 * @throws LowrankError `data.format`, `data.missing`, `data.unreadable`
 */
export async function openFile(source: ByteSource, options: RecordOptions = {}): Promise<OpenedFile> {
  const { name } = source;
  const packed = await peek(source.stream());
  const isCompressed = packed.head[0] === 0x1f && packed.head[1] === 0x8b;
  const { head, stream } = isCompressed ? await peek(gunzip(packed.stream, name)) : packed;
  const kind = fileKind(name.replace(/\.(gz|gzip)$/i, ''), head, options);
  const opened = { name, stream: () => stream, close: () => source.close() };
  const { parts } = source;
  if (parts === undefined) return { name, kind, isCompressed, source: opened };
  // What is packed is read once, from the beginning.
  if (isCompressed) return { name, kind, isCompressed, packedBytes: parts.size, source: opened };
  return { name, kind, isCompressed, source: { ...opened, parts } };
}

/** The records of a file, as they come. @throws LowrankError `data.unreadable`, and what openFile throws */
export async function* recordValues(file: OpenedFile): AsyncGenerator<RecordValue[], void, undefined> {
  const { kind, source, name } = file;
  if (kind.format === 'parquet') {
    let line = 0;
    const { parquetRows } = await import('./parquetRows.js');
    for await (const rows of parquetRows(source)) yield rows.map((value) => ({ line: ++line, value }));
    return;
  }
  const reader = new RecordReader(kind, name);
  for await (const records of splitRecords(source.stream(), kind, name))
    yield records.flatMap((one) => reader.read(one) ?? []);
}

/** Cuts a stream into records, and says by a last one of no bytes where it breaks off. */
export async function* splitRecords(
  stream: AsyncIterable<Uint8Array>,
  format: FileFormat,
  name: string,
): AsyncGenerator<RecordBytes[], void, undefined> {
  const splitter = new RecordSplitter(format);
  let seen = 0;
  for await (const chunk of stream) {
    seen += chunk.length;
    yield splitter.push(chunk);
  }
  yield splitter.end();
  if (seen > 0 && splitter.unfinished)
    throw new LowrankError({
      code: format.format === 'json' ? 'data.json' : 'data.csv',
      what: name,
      expected: format.format === 'json' ? 'a JSON array to its closing bracket' : 'every quote to be closed',
      got: 'the end of the file',
      remedy: 'The file is cut off: write or download it again.',
    });
}

/** Makes values of a file's records; of a CSV file the first is the header, and no record. */
export class RecordReader {
  readonly #decoder = new TextDecoder('utf-8', { fatal: true });
  #columns: readonly string[] | undefined;

  constructor(
    private readonly kind: FileFormat,
    private readonly name: string,
  ) {}

  read({ bytes, line }: RecordBytes): RecordValue | undefined {
    const { format, separator = ',' } = this.kind;
    const text = this.#textOf(bytes);
    if (format === 'jsonl' || format === 'json') return jsonValue(text, line);
    if (format !== 'csv') return { line, value: { text: text.replaceAll('\r\n', '\n') } };
    const fields = csvFields(text, separator);
    if (this.#columns !== undefined) return csvValue(fields, this.#columns, line);
    this.#columns = headerOf(fields, this.name);
    return undefined;
  }

  #textOf(bytes: Uint8Array): string {
    try {
      return this.#decoder.decode(bytes);
    } catch (cause) {
      throw unreadable(this.name, cause);
    }
  }
}

function jsonValue(text: string, line: number): RecordValue {
  try {
    return { line, value: parseJsonWithFloats(text) };
  } catch (cause) {
    const got = text.length > 60 ? `${text.slice(0, 57)}...` : text;
    return {
      line,
      code: 'data.json',
      expected: 'JSON',
      got: `${got} (${cause instanceof Error ? cause.message : 'none'})`,
    };
  }
}

function csvValue(fields: readonly (string | null)[], columns: readonly string[], line: number): RecordValue {
  if (fields.length <= columns.length)
    return { line, value: Object.fromEntries(columns.map((column, at) => [column, fields[at] ?? null])) };
  return {
    line,
    code: 'data.csv',
    expected: `${columns.length} ${columns.length === 1 ? 'field' : 'fields'}, as the header has`,
    got: String(fields.length),
  };
}

/** @throws LowrankError `data.csv` for a header that says a name twice, or none */
function headerOf(fields: readonly (string | null)[], name: string): readonly string[] {
  const columns = fields.map((field) => field?.trim() ?? '');
  const twice = columns.find((column, at) => (column === '' ? false : columns.indexOf(column) !== at));
  if (twice === undefined && columns.some((column) => column !== '')) return columns;
  throw new LowrankError({
    code: 'data.csv',
    what: `${name}, line 1`,
    expected: 'a header of different names',
    got: twice === undefined ? 'none' : `${JSON.stringify(twice)} twice`,
    remedy: 'The first line names the columns, such as prompt,completion.',
  });
}

/** The first bytes of a stream, and all of it. */
async function peek(
  stream: AsyncIterable<Uint8Array>,
): Promise<{ readonly head: Uint8Array; readonly stream: AsyncIterable<Uint8Array> }> {
  const iterator = stream[Symbol.asyncIterator]();
  const chunks: Uint8Array[] = [];
  let size = 0;
  while (size < 4096) {
    const { done, value } = await iterator.next();
    if (done === true) break;
    chunks.push(value);
    size += value.length;
  }
  const head = new Uint8Array(Math.min(size, 4096));
  let at = 0;
  for (const chunk of chunks) {
    head.set(chunk.subarray(0, head.length - at), at);
    at = Math.min(head.length, at + chunk.length);
  }
  async function* whole(): AsyncGenerator<Uint8Array, void, undefined> {
    yield* chunks;
    yield* { [Symbol.asyncIterator]: () => iterator };
  }
  return { head, stream: whole() };
}

async function* gunzip(stream: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<Uint8Array, void, undefined> {
  const iterator = stream[Symbol.asyncIterator]();
  const packed = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      const { done, value } = await iterator.next();
      if (done === true) controller.close();
      else controller.enqueue(value as Uint8Array<ArrayBuffer>);
    },
  });
  try {
    yield* streamed(packed.pipeThrough(new DecompressionStream('gzip')));
  } catch (cause) {
    if (cause instanceof LowrankError) throw cause;
    throw unreadable(name, cause);
  }
}
