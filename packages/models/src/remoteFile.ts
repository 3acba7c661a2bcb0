import type { LowrankError } from '@lowrank/errors';
import type { Send } from './ask.js';
import type { Checksum } from './hubDigest.js';
import type { Pause } from '@lowrank/safetensors';
import type { TransferTiming } from './transferTiming.js';

/** A file that can be downloaded. */
export interface RemoteFile {
  readonly name: string;
  readonly url: string;
  /** The URL as errors give it: without what may be secret. */
  readonly shown: string;
  /** Undefined where the server does not say: then the file ends where its body does. */
  readonly size: number | undefined;
  /** Names its content in the cache. */
  readonly key: string;
  readonly checksum?: Checksum | undefined;
  /** A validator for a download that goes on: the server then sends the rest only of the same file. */
  readonly etag?: string | undefined;
  /** Nothing says whether the file has changed: what the cache holds of it is not used. */
  readonly isUndated?: boolean | undefined;
}

export interface Transfer {
  readonly send: Send;
  /** The error for a response that is not the file. */
  readonly refuse: (response: Response, file: RemoteFile) => LowrankError;
  /** Bytes that came; negative where they have to come again. */
  readonly onBytes: (file: RemoteFile, count: number) => void;
  readonly onWarning?: ((text: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly timing: TransferTiming;
  /** Before the n-th try in a row; by default as long as it says. */
  readonly pause?: Pause | undefined;
}
