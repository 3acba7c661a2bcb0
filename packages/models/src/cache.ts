import type { ByteSource } from '@lowrank/safetensors';

/** A finished file in a cache. */
export interface CachedBlob {
  readonly source: ByteSource;
  readonly size: number;
  /** Another one whenever the file was written to. */
  readonly stamp: string;
}

/** An unfinished file in a cache, which is written at its end. */
export interface PartialBlob {
  /** Bytes it holds. */
  readonly size: number;
  /** All of them, in order. */
  read(): AsyncIterable<Uint8Array>;
  append(bytes: Uint8Array): Promise<void>;
  /** Empties it. */
  clear(): Promise<void>;
  /** Keeps what was written, for another time, and lets others write. An empty one is kept where that is all of it. */
  close(isWhole?: boolean): Promise<void>;
}

/**
 * Where downloads of one model are kept, in the way of the Hugging Face hub: `blobs` by a key that names their content,
 * `snapshots` of file names over blobs, and `refs` from branches and tags to snapshots.
 */
export interface ModelCache {
  /** Where it lies, for errors. */
  readonly name: string;
  /** Bytes that may still be written, where the platform tells. */
  room?(): Promise<number | undefined>;
  /** What errors say where there is no room. */
  readonly full: { readonly code: string; readonly remedy: string };
  ref(revision: string): Promise<string | undefined>;
  setRef(revision: string, snapshot: string): Promise<void>;
  /** The files of a snapshot by name, with the keys of their blobs where these are known. */
  files(snapshot: string): Promise<ReadonlyMap<string, string | undefined>>;
  open(snapshot: string, name: string): Promise<ByteSource | undefined>;
  link(snapshot: string, name: string, key: string): Promise<void>;
  /** Takes a file out of a snapshot; its blob stays. */
  unlink(snapshot: string, name: string): Promise<void>;
  blob(key: string): Promise<CachedBlob | undefined>;
  /** Waits while another process or page writes it: then it may have become the blob. */
  partial(key: string): Promise<PartialBlob>;
  /** Bytes of the partial one, 0 where there is none. */
  partialSize(key: string): Promise<number>;
  /** Makes the partial one the blob. */
  finish(key: string): Promise<void>;
  /** Removes blob and partial blob. */
  drop(key: string): Promise<void>;
  /** The stamp of the blob whose bytes were last found right. */
  verified(key: string): Promise<string | undefined>;
  setVerified(key: string, stamp: string): Promise<void>;
  /** The SHA-256 that a blob had when it came, where nobody else says what it must be. */
  sum(key: string): Promise<string | undefined>;
  setSum(key: string, hex: string): Promise<void>;
}
