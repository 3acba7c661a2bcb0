import { LowrankError } from '@lowrank/errors';
import { openSource } from './byteSource.js';
import type { OpenedFile } from './records.js';

/**
 * A file whose records cannot be read in any order (unpacked gzip, Parquet) as a temporary one whose can: the same
 * bytes
 * unpacked, or JSON lines. It goes away with its last reader (Node).
 *
 * @throws LowrankError `data.spool` where the temporary folder takes no more
 */
export async function spooled(file: OpenedFile): Promise<OpenedFile> {
  const { mkdtemp, open, rm } = await import('node:fs/promises');
  const { tmpdir } = await import('node:os');
  const folder = await mkdtemp(`${tmpdir()}/lowrank-rows-`);
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    const path = `${folder}/rows`;
    const written = await open(path, 'w');
    try {
      for await (const bytes of bytesOf(file)) await written.writeFile(bytes);
    } finally {
      await written.close();
    }
    const opened = await openSource(path, file.name);
    // A file that is open outlives its name, but not where the system forbids taking the name away.
    await remove().catch(() => undefined);
    const kind = file.kind.format === 'parquet' ? ({ format: 'jsonl' } as const) : file.kind;
    const close = async (): Promise<void> => {
      await opened.close();
      await remove();
    };
    await file.source.close();
    return { ...file, kind, source: { ...opened, close } };
  } catch (cause) {
    await remove();
    if (cause instanceof LowrankError) throw cause;
    throw new LowrankError({
      code: 'data.spool',
      what: file.name,
      expected: 'room in the temporary folder for its rows, which are too many for memory',
      got: cause instanceof Error ? cause.message : String(cause),
      remedy: 'Make room there, name another folder by TMPDIR, or unpack the file to JSON lines.',
      cause,
    });
  }
}

async function* bytesOf({ kind, source }: OpenedFile): AsyncGenerator<Uint8Array, void, undefined> {
  if (kind.format !== 'parquet') return yield* source.stream();
  const encoder = new TextEncoder();
  const { parquetRows } = await import('./parquetRows.js');
  for await (const rows of parquetRows(source))
    yield encoder.encode(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
}
