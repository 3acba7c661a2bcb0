/** What a file is made of: text, bytes, or chunks as they come. */
export type FileContent = string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** What lies at a path. */
export interface Found {
  readonly kind: 'file' | 'folder';
  /** Of a file. */
  readonly bytes: number;
  /** Another one whenever the file is another one or was written to. */
  readonly print: string;
}

/**
 * The operations on a file system that runs, checkpoints and savings are made of: of Node's ({@link nodeDisk}) and of
 * the origin's private file system of a browser (`originDisk`). It knows no models and no runs, and holds nothing open
 * between two operations but locks. Tests put one in the place of these that fails, or stops for good, at any one of
 * them.
 */
export interface Disk {
  /** Whether adding to a file costs what is added, and not the whole file. */
  readonly appendsInPlace: boolean;
  /** Whether a folder can be renamed in one go. */
  readonly renamesFolders: boolean;
  /** Makes a folder with its parents; returns those that it made, innermost first. */
  makeFolders(path: string): Promise<string[]>;
  /** Makes one folder. Resolves to false where it exists. */
  makeFolder(path: string): Promise<boolean>;
  /** Makes a file with this content, synced; fails where the file exists. */
  createFile(path: string, content: FileContent): Promise<void>;
  /** Syncs the entries of a folder, as far as the system can (Windows and some network file systems cannot). */
  syncFolder(path: string): Promise<void>;
  /**
   * Renames a file, in one go, over one that may be there; or a folder. Where folders cannot be renamed their files
   * move one after another, and the file `last` comes last.
   */
  rename(from: string, to: string, last?: string): Promise<void>;
  /** Removes a file; resolves where there is none. */
  removeFile(path: string): Promise<void>;
  /** Removes a folder and what is in it; resolves where there is none. */
  removeTree(path: string): Promise<void>;
  /** Removes an empty folder; resolves to false where it is not empty or not there. */
  removeEmpty(path: string): Promise<boolean>;
  /** Undefined where there is no such file. */
  readText(path: string): Promise<string | undefined>;
  /** The names in a folder; none where there is no folder. */
  list(path: string): Promise<string[]>;
  /** What is at a path; undefined where there is nothing. */
  stat(path: string): Promise<Found | undefined>;
  /** The bytes `start <= i < end` of a file, fewer where it ends before. */
  read(path: string, start: number, end: number): Promise<Uint8Array>;
  /** Adds bytes to the end of a file, which is made where there is none; with them in it when it resolves. */
  append(path: string, bytes: Uint8Array): Promise<void>;
  /** Syncs a file that was appended to, as far as the system can. */
  syncFile(path: string): Promise<void>;
  /** The path by which the system knows a file or folder, whichever way it was named. */
  realPath(path: string): Promise<string>;
  /**
   * Takes a folder, or the file `name` of it, until it is released or whoever holds it has ended.
   *
   * @throws LowrankError `files.locked`
   */
  lock(folder: string, name?: string): Promise<FolderLock>;
  /** Whether a folder is taken. */
  isLocked(folder: string): Promise<boolean>;
}

/** A folder, or a file, that one process, tab or worker writes. */
export interface FolderLock {
  release(): Promise<void>;
}
