import { LowrankError } from '@lowrank/errors';
import type { RowSource } from '@lowrank/data';
import { rowSourceName } from '@lowrank/data';
import type { Disk } from '@lowrank/files';
import { joinPath, ownDisk } from '@lowrank/files';
import type { ModelFiles } from '@lowrank/models';
import { createDigest, modelFileNames } from '@lowrank/models';
import type { ByteSource } from '@lowrank/safetensors';
import { blobSource, bytesSource } from '@lowrank/safetensors';

/** A file or a folder that a run reads, and what is in it. */
export interface RunInput {
  /** The option that names it. */
  readonly role: string;
  readonly path: string;
  readonly files: readonly InputFile[];
}

export interface InputFile {
  /** Within the folder; empty for a file alone. */
  readonly name: string;
  readonly bytes: number;
  /** Of the whole file, or of pieces all over it where it is a large file of weights. */
  readonly sha256: string;
}

/** Files of weights above this are not read whole only to be known again. */
const largestWhole = 2 ** 26;
const [pieces, pieceBytes] = [256, 2 ** 16];

/** What of a folder decides what a run computes: its configuration, tokenizer and weights. */
const ofFolder = /\.(json|jsonl|jinja|safetensors|model|txt|csv|tsv|parquet|gz)$/;

/** Standard input, which nobody can read again. */
const standardInput = '-';

export function isStandardInput(path: string | undefined): boolean {
  return path === standardInput;
}

/**
 * Looks at what a run reads. Files of data are hashed whole; of weights of more than 64 MiB, the size and 256 pieces.
 * What is not there has no files: whoever reads it will say so.
 */
export async function lookAt(role: string, path: string, disk: Disk = ownDisk): Promise<RunInput> {
  const found = path === standardInput ? undefined : await disk.stat(path);
  if (found === undefined) return { role, path, files: [] };
  if (found.kind === 'file') return { role, path, files: [await fileMark(sourceAt(path, found.bytes, disk), '')] };
  const files: InputFile[] = [];
  for (const name of (await disk.list(path)).filter((entry) => ofFolder.test(entry)).sort()) {
    const file = await disk.stat(joinPath(path, name));
    if (file?.kind === 'file') files.push(await fileMark(sourceAt(joinPath(path, name), file.bytes, disk), name));
  }
  return { role, path, files };
}

/** The same of a model's or an adapter's files, wherever they are. */
export async function lookAtFiles(role: string, place: ModelFiles): Promise<RunInput> {
  const files: InputFile[] = [];
  for (const name of await modelFileNames(place)) {
    const source = await place.file(name);
    if (source !== undefined) files.push(await fileMark(source, name));
  }
  return { role, path: place.name, files };
}

/** The same of rows, as files or as objects. Pieces of text cannot be read again. */
export async function lookAtRows(role: string, rows: RowSource): Promise<RunInput> {
  if (typeof rows === 'string') return lookAt(role, rows);
  const path = rowSourceName(rows);
  if (rows instanceof Blob) return { role, path, files: [await fileMark(blobSource(rows, path), '')] };
  if (!Array.isArray(rows)) return { role, path: standardInput, files: [] };
  const text = rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  return { role, path, files: [await fileMark(bytesSource(new TextEncoder().encode(text), path), '')] };
}

/**
 * Refuses a run whose input is not what it was.
 *
 * @throws LowrankError `run.input`
 */
export function checkInput(before: RunInput, now: RunInput): void {
  if (before.path === standardInput) throw notAgain(before.role);
  for (const { name, bytes, sha256 } of before.files) {
    const file = now.files.find((other) => other.name === name);
    if (file?.sha256 === sha256 && file.bytes === bytes) continue;
    throw new LowrankError({
      code: 'run.input',
      what: (names) => `${names(now.role)} ${joinPath(now.path, name)}`,
      expected: `what the run began with: ${bytes} bytes, SHA-256 ${sha256.slice(0, 12)}…`,
      got: file === undefined ? 'no such file' : `${file.bytes} bytes, SHA-256 ${file.sha256.slice(0, 12)}…`,
      remedy: (names) => `Put the file back, or begin anew: another --output, or ${names('overwrite')}.`,
      setting: now.role,
    });
  }
}

function sourceAt(name: string, bytes: number, disk: Disk): ByteSource {
  return { name, size: () => Promise.resolve(bytes), read: (start, end) => disk.read(name, start, end) };
}

async function fileMark(source: ByteSource, name: string): Promise<InputFile> {
  const size = await source.size();
  const hash = await createDigest('sha256', size);
  const isSampled = size > largestWhole && [name, source.name].some((each) => /\.(safetensors|gguf)$/i.test(each));
  for await (const chunk of isSampled ? samples(source, size) : whole(source, size)) hash.update(chunk);
  return { name, bytes: size, sha256: hash.hex() };
}

async function* whole(source: ByteSource, size: number): AsyncGenerator<Uint8Array> {
  const step = 2 ** 20;
  for (let at = 0; at < size; at += step) yield source.read(at, Math.min(at + step, size));
}

async function* samples(source: ByteSource, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < pieces; at++) {
    const position = Math.floor(((size - pieceBytes) * at) / (pieces - 1));
    yield source.read(position, position + pieceBytes);
  }
}

function notAgain(role: string): LowrankError {
  return new LowrankError({
    code: 'run.input',
    what: (names) => names(role, standardInput),
    expected: 'a file, which a run can go on with',
    got: 'standard input, which cannot be read again',
    remedy: (names) => `Begin anew, with a file: another --output, or ${names('overwrite')}.`,
    setting: role,
  });
}
