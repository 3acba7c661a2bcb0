import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LowrankError } from '@lowrank/errors';

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
export async function lookAt(role: string, path: string): Promise<RunInput> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined || path === standardInput) return { role, path, files: [] };
  if (!found.isDirectory()) return { role, path, files: [await fileMark(path, '')] };
  const files: InputFile[] = [];
  for (const name of (await readdir(path)).filter((entry) => ofFolder.test(entry)).sort())
    if ((await stat(join(path, name))).isFile()) files.push(await fileMark(join(path, name), name));
  return { role, path, files };
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
      what: (names) => `${names(now.role)} ${join(now.path, name)}`,
      expected: `what the run began with: ${bytes} bytes, SHA-256 ${sha256.slice(0, 12)}…`,
      got: file === undefined ? 'no such file' : `${file.bytes} bytes, SHA-256 ${file.sha256.slice(0, 12)}…`,
      remedy: (names) => `Put the file back, or begin anew: another --output, or ${names('overwrite')}.`,
      setting: now.role,
    });
  }
}

async function fileMark(path: string, name: string): Promise<InputFile> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const hash = createHash('sha256');
    const isSampled = size > largestWhole && path.endsWith('.safetensors');
    for await (const chunk of isSampled ? samples(file, size) : file.createReadStream({ autoClose: false }))
      hash.update(chunk as Uint8Array);
    return { name, bytes: size, sha256: hash.digest('hex') };
  } finally {
    await file.close();
  }
}

async function* samples(file: FileHandle, size: number): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(pieceBytes);
  for (let at = 0; at < pieces; at++) {
    const position = Math.floor(((size - pieceBytes) * at) / (pieces - 1));
    const { bytesRead } = await file.read(buffer, 0, pieceBytes, position);
    yield buffer.subarray(0, bytesRead);
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
