import { LowrankError } from '@lowrank/errors';
import type { Compressors } from 'hyparquet';
import type { ByteSource } from './byteSource.js';

/**
 * The rows of a Parquet file, some hundreds at a time. A key that is null within a struct is none: Arrow fills the
 * columns of lists of structs so, and chat templates tell the two apart.
 */
export async function* parquetRows(source: ByteSource): AsyncGenerator<readonly object[], void, undefined> {
  const { parquetMetadataAsync, parquetReadObjects, parquetSchema } = await import('hyparquet');
  try {
    const file = source.parts === undefined ? await inMemory(source) : bufferOf(source.parts);
    const compressors = await decompressors(file.byteLength);
    const metadata = await parquetMetadataAsync(file);
    checkColumns(
      leavesOf(parquetSchema(metadata)),
      metadata.row_groups.map(({ columns }) => columns.map((column) => column.meta_data?.path_in_schema ?? [])),
    );
    let rowStart = 0;
    for (const group of metadata.row_groups) {
      const rows = Number(group.num_rows);
      for (let from = 0; from < rows; from += rowsAtOnce) {
        const rowEnd = rowStart + Math.min(rows, from + rowsAtOnce);
        const found = await parquetReadObjects({ file, metadata, compressors, rowStart: rowStart + from, rowEnd });
        const wanted = rowEnd - rowStart - from;
        if (found.length !== wanted) throw new Error(`it has ${found.length} rows where it says ${wanted}`);
        yield found.map((row) => plain(row) as object);
      }
      rowStart += rows;
    }
  } catch (cause) {
    if (cause instanceof LowrankError) throw cause;
    throw new LowrankError({
      code: 'data.unreadable',
      what: source.name,
      expected: 'a Parquet file',
      got: cause instanceof Error ? cause.message : String(cause),
      remedy: 'Write the file again, or give the rows as JSON lines.',
      cause,
    });
  }
}

const rowsAtOnce = 1000;

/**
 * Node's own where it has them: the library's Brotli may go on for ever over a damaged file. So may its loop over
 * pages,
 * which is ended where there are more of them than the file has bytes.
 */
async function decompressors(bytes: number): Promise<Compressors> {
  const { compressors } = await import('hyparquet-compressors');
  const all: Compressors = { ...compressors, ...(typeof process === 'undefined' ? {} : await ofNode()) };
  let pages = 0;
  return Object.fromEntries(
    Object.entries(all).map(([name, decompress]) => [
      name,
      (input: Uint8Array, length: number) => {
        if (++pages > bytes) throw new Error('it has more pages than bytes');
        return decompress(input, length);
      },
    ]),
  );
}

async function ofNode(): Promise<Compressors> {
  const { brotliDecompressSync, gunzipSync } = await import('node:zlib');
  return {
    BROTLI: (input, maxOutputLength) => brotliDecompressSync(input, { maxOutputLength }),
    GZIP: (input, maxOutputLength) => gunzipSync(input, { maxOutputLength }),
  };
}

interface AsyncBuffer {
  readonly byteLength: number;
  slice(start: number, end?: number): Promise<ArrayBuffer>;
}

interface SchemaNode {
  readonly path: readonly string[];
  readonly children: readonly SchemaNode[];
}

/** The paths of the columns that hold values. */
function leavesOf({ path, children }: SchemaNode): readonly (readonly string[])[] {
  return children.length === 0 ? [path] : children.flatMap(leavesOf);
}

/**
 * Columns have names of their own, and each part of the file has those of the schema: the library waits for these, and
 * the error of another column would end the process.
 */
function checkColumns(
  schema: readonly (readonly string[])[],
  groups: readonly (readonly (readonly string[])[])[],
): void {
  const nameOf = (path: readonly string[]): string => path.join('\0');
  const known = new Set(schema.map(nameOf));
  if (known.size < schema.length) throw new Error('two columns have the same name');
  for (const paths of groups) {
    const names = paths.map(nameOf);
    if (new Set(names).size < names.length || names.some((name) => !known.has(name)))
      throw new Error('a part of it has other columns');
  }
}

function bufferOf({ size, slice }: NonNullable<ByteSource['parts']>): AsyncBuffer {
  return bounded(size, async (start, end) => (await slice(start, end)).slice().buffer);
}

/** A file whose bytes beyond its ends are an error: Node ends the process over a slice of a Blob beyond 2³². */
function bounded(size: number, read: (start: number, end: number) => Promise<ArrayBuffer>): AsyncBuffer {
  return {
    byteLength: size,
    slice(start, end = size) {
      const from = start < 0 ? size + start : start;
      const isWithin = from >= 0 && from <= end && end <= size;
      const bytes = isWithin
        ? read(from, end)
        : Promise.reject(new Error(`it names bytes ${from} to ${end} of ${size}`));
      // The library reads ahead, and may have ended by another error when this one comes.
      bytes.catch(() => undefined);
      return bytes;
    },
  };
}

async function inMemory(source: ByteSource): Promise<AsyncBuffer> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  for await (const chunk of source.stream()) chunks.push(Uint8Array.from(chunk));
  const whole = await new Blob(chunks).arrayBuffer();
  return bounded(whole.byteLength, (start, end) => Promise.resolve(whole.slice(start, end)));
}

function plain(value: unknown, within = false): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Uint8Array) return new TextDecoder().decode(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => plain(item, true));
  const entries = Object.entries(value).filter(([key, one]) => !within || one !== null || key === 'content');
  return Object.fromEntries(entries.map(([key, one]) => [key, plain(one, true)]));
}
