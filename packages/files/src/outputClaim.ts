import { LowrankError, isLowrankError } from '@lowrank/errors';
import { removeLeftovers } from './leftovers.js';
import type { FolderLock } from './lock.js';
import { lockFolder } from './lock.js';
import { makeFolders } from './makeFolders.js';
import type { Contents } from './outputContents.js';
import { contentsOf, isOutputFile, isRunFile } from './outputContents.js';
import type { FolderSaving } from './saving.js';
import { beginSaving, finishSaving } from './saving.js';

/** A folder that this process alone writes into, and that is known to be writable. */
export interface OutputClaim {
  readonly path: string;
  /** What lies in it from before, which is gone on with or replaced. */
  readonly holds: Contents | undefined;
  readonly lock: FolderLock;
  /**
   * Begins a saving into it.
   *
   * @param first the file that makes the folder what it is
   * @param replaces files from before that go; default: all of an adapter, a model and a run
   */
  beginSaving(first: string, replaces?: (name: string) => boolean): Promise<FolderSaving>;
  /** Ends the claim. */
  release(): Promise<void>;
  /** The same, and removes the folders that were made for it, where they are still empty: a failure leaves nothing. */
  discard(): Promise<void>;
}

export interface ClaimOptions {
  /** Folders that are read from. */
  readonly inputs?: readonly string[] | undefined;
  /** What is in the folder may be replaced. */
  readonly overwrite?: boolean | undefined;
  /** What is in the folder may be gone on with: a run, with all that belongs to one, or a study. */
  readonly resume?: 'run' | 'study' | undefined;
}

/**
 * Takes a folder for what is about to be written: makes it, parents included, locks it, which writes a first byte into
 * it, so that hours of training do not end at a disk that refuses; finishes or removes what dead processes left.
 *
 * @throws LowrankError `output.notWritable`; `output.isInput` where the folder is one of `inputs`, whose files would be
 * overwritten; `files.locked` where a process writes into it; `output.taken` where it holds an adapter, a model, a run
 * or a study
 */
export async function claimOutput(path: string, options: ClaimOptions = {}): Promise<OutputClaim> {
  const { readdir } = await import('node:fs/promises');
  let made: string[] = [];
  let lock: FolderLock | undefined;
  const discard = (): Promise<void> => undo(lock, made);
  try {
    made = await makeFolders(path);
    if (await isAmong(path, options.inputs)) throw isInput(path);
    const held = (lock = await lockFolder(path));
    await finishSaving(path);
    await removeLeftovers(path);
    const holds = contentsOf(await readdir(path));
    if (holds !== undefined && !mayWrite(holds, options)) throw taken(path, holds, options);
    return {
      path,
      holds,
      lock: held,
      beginSaving: (first, replaces = isOfOutput) => beginSaving(path, { first, replaces, lock: held }),
      release: () => held.release(),
      discard,
    };
  } catch (cause) {
    await discard();
    throw isLowrankError(cause) ? cause : notWritable(path, cause);
  }
}

/**
 * The same for one file. Its folder may hold whatever else. An older file that begins with the bytes `magic` is one of
 * the same kind, which takes its place only when it is whole; any other is refused without `overwrite`.
 *
 * @throws LowrankError as `claimOutput` does; `cli.output` where a folder is in the way
 */
export async function claimFile(
  path: string,
  { magic, overwrite = false }: Pick<ClaimOptions, 'overwrite'> & { readonly magic: string },
): Promise<Pick<OutputClaim, 'path' | 'release' | 'discard'>> {
  const { stat } = await import('node:fs/promises');
  const { basename, dirname, resolve } = await import('node:path');
  let made: string[] = [];
  let lock: FolderLock | undefined;
  const discard = (): Promise<void> => undo(lock, made);
  const [folder, name] = [dirname(resolve(path)), basename(path)];
  try {
    made = await makeFolders(folder);
    const held = (lock = await lockFolder(folder, name));
    await removeLeftovers(folder, undefined, name);
    if ((await stat(path).catch(() => undefined))?.isDirectory() === true) throw isFolder(path);
    // An empty file is a place that somebody kept for it.
    if (!overwrite && !['', magic].includes(await beginning(path, magic.length)))
      throw taken(path, { kind: 'file', name }, {});
    return { path, release: () => held.release(), discard };
  } catch (cause) {
    await discard();
    throw isLowrankError(cause) ? cause : notWritable(path, cause);
  }
}

async function undo(lock: FolderLock | undefined, made: readonly string[]): Promise<void> {
  const { rmdir } = await import('node:fs/promises');
  await lock?.release().catch(() => undefined);
  for (const folder of made) await rmdir(folder).catch(() => undefined);
}

async function beginning(path: string, length: number): Promise<string> {
  const { open } = await import('node:fs/promises');
  const file = await open(path).catch(() => undefined);
  if (file === undefined) return '';
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, 0);
    return buffer.toString('latin1', 0, bytesRead);
  } finally {
    await file.close();
  }
}

function isOfOutput(name: string): boolean {
  return isOutputFile(name) || isRunFile(name);
}

function mayWrite({ kind }: Contents, { overwrite = false, resume }: ClaimOptions): boolean {
  return overwrite || (resume === 'study' ? kind === 'study' : resume === 'run' && kind !== 'study');
}

async function isAmong(path: string, inputs: readonly string[] = []): Promise<boolean> {
  const { realpath } = await import('node:fs/promises');
  const own = await realpath(path);
  for (const input of inputs) if ((await realpath(input).catch(() => undefined)) === own) return true;
  return false;
}

function isInput(path: string): LowrankError {
  return new LowrankError({
    code: 'output.isInput',
    what: `output folder ${path}`,
    expected: 'a folder of its own',
    got: 'the folder that is read from',
    remedy: 'Choose another --output: its files would be overwritten.',
  });
}

function isFolder(path: string): LowrankError {
  return new LowrankError({
    code: 'cli.output',
    what: `--output ${path}`,
    expected: 'a file',
    got: 'a folder',
    remedy: `Name the file: ${path.replace(/\/+$/, '')}/model.gguf, for example.`,
  });
}

function taken(
  path: string,
  { kind, name }: { readonly kind: string; readonly name: string },
  { resume }: ClaimOptions,
): LowrankError {
  const article = /^[aeiou]/.test(kind) ? 'an' : 'a';
  return new LowrankError({
    code: 'output.taken',
    what: kind === 'file' ? `output file ${path}` : `output folder ${path}`,
    expected: kind === 'file' ? 'no file of another kind' : `one that holds no ${kind}`,
    got: kind === 'file' ? 'one' : `${article} ${kind} (${name})`,
    remedy: (names) =>
      'Nothing in it was changed. Choose another --output' +
      (resume === 'study' ? '.' : `, or give ${names('overwrite')} to replace what is there.`),
    setting: 'overwrite',
  });
}

function notWritable(path: string, cause: unknown): LowrankError {
  return new LowrankError({
    code: 'output.notWritable',
    what: `output folder ${path}`,
    expected: 'a folder that can be made and written into',
    got: cause instanceof Error ? cause.message : String(cause),
    remedy: 'Choose another --output, or change its permissions. Nothing was done yet.',
    cause,
  });
}
