import { LowrankError, isLowrankError } from '@lowrank/errors';

import { committedName } from './reading.js';

/** What is told of a write that failed; other errors as they are. */
export function notWritten(path: string, cause: unknown, isDecided = false): unknown {
  if (isLowrankError(cause) || !(cause instanceof Error && 'syscall' in cause)) return cause;
  return new LowrankError({
    code: 'files.notWritten',
    what: path,
    expected: 'a folder that exists, may be written to and has room',
    got: cause.message,
    remedy: isDecided
      ? `The new files are whole and count, in ${committedName} beside it; the next saving moves them to their places.`
      : 'Nothing half written stays, and what was there before is untouched. Free some room, or choose another folder.',
    cause,
  });
}
