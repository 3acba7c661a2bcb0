import { LowrankError, isLowrankError } from '@lowrank/errors';

import { committedName } from './reading.js';

/**
 * What is told of a write that failed; other errors as they are.
 *
 * @returns LowrankError `files.notWritten`; `storage.quota` where a browser gives the page no more room
 */
export function notWritten(path: string, cause: unknown, isDecided = false): unknown {
  if (isLowrankError(cause)) return cause;
  if (isOverQuota(cause)) return overQuota(path, cause, isDecided);
  if (!(cause instanceof DOMException || (cause instanceof Error && 'syscall' in cause))) return cause;
  return new LowrankError({
    code: 'files.notWritten',
    what: path,
    expected: 'a folder that exists, may be written to and has room',
    got: cause.message,
    remedy: isDecided ? decidedRemedy : `${untouched} Free some room, or choose another folder.`,
    cause,
  });
}

const untouched = 'Nothing half written stays, and what was there before is untouched.';
const decidedRemedy =
  `The new files are whole and count, in ${committedName} beside it; ` + 'the next saving moves them to their places.';

/** A browser that gives the origin no more room. */
export function isOverQuota(cause: unknown): cause is Error {
  return cause instanceof Error && cause.name === 'QuotaExceededError';
}

/** The error for it. */
export function overQuota(what: string, cause: unknown, isDecided = false): LowrankError {
  return new LowrankError({
    code: 'storage.quota',
    what,
    expected: 'room in the browser’s storage of this site',
    got: cause instanceof Error ? cause.message : String(cause),
    remedy:
      'Remove stored models or runs, or let the browser keep more (storage.persist()); free some of the disk. ' +
      (isDecided ? decidedRemedy : untouched),
    cause,
  });
}

/** A disk that is full. */
export function isNoRoom(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && ['ENOSPC', 'EDQUOT'].includes(String(cause.code));
}
