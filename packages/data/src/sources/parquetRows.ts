import { LowrankError } from '@lowrank/errors';
import type { ByteSource } from './byteSource.js';

/**
 * The rows of a Parquet file, some hundreds at a time. A key that is null within a struct is none: Arrow fills the
 * columns of lists of structs so, and chat templates tell the two apart.
 */
export async function* parquetRows(source: ByteSource): AsyncGenerator<readonly object[], void, undefined> {
  const [{ parquetMetadataAsync, parquetReadObjects }, { compressors }] = await Promise.all([
    import('hyparquet'),
    import('hyparquet-compressors'),
  ]);
  try {
    const file = source.parts === undefined ? await inMemory(source) : bufferOf(source.parts);
    const metadata = await parquetMetadataAsync(file);
    let rowStart = 0;
    for (const group of metadata.row_groups) {
      const rows = Number(group.num_rows);
      for (let from = 0; from < rows; from += rowsAtOnce) {
        const rowEnd = rowStart + Math.min(rows, from + rowsAtOnce);
        const found = await parquetReadObjects({ file, metadata, compressors, rowStart: rowStart + from, rowEnd });
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

interface AsyncBuffer {
  readonly byteLength: number;
  slice(start: number, end?: number): Promise<ArrayBuffer>;
}

function bufferOf(parts: NonNullable<ByteSource['parts']>): AsyncBuffer {
  const { size } = parts;
  return {
    byteLength: size,
    slice: async (start, end = size) => (await parts.slice(start < 0 ? size + start : start, end)).slice().buffer,
  };
}

async function inMemory(source: ByteSource): Promise<AsyncBuffer> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  for await (const chunk of source.stream()) chunks.push(Uint8Array.from(chunk));
  const whole = await new Blob(chunks).arrayBuffer();
  return { byteLength: whole.byteLength, slice: (start, end) => Promise.resolve(whole.slice(start, end)) };
}

function plain(value: unknown, within = false): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Uint8Array) return new TextDecoder().decode(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => plain(item, true));
  const entries = Object.entries(value).filter(([key, one]) => !within || one !== null || key === 'content');
  return Object.fromEntries(entries.map(([key, one]) => [key, plain(one, true)]));
}
