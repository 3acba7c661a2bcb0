import { LowrankError, isLowrankError } from '@lowrank/errors';

/** What is told of a write that failed; other errors as they are. */
export function notWritten(path: string, cause: unknown): unknown {
  if (isLowrankError(cause) || !(cause instanceof Error && 'syscall' in cause)) return cause;
  return new LowrankError({
    code: 'files.notWritten',
    what: path,
    expected: 'a folder that exists, may be written to and has room',
    got: cause.message,
    remedy:
      'Nothing half written stays, and what was there before is untouched. Free some room, or choose another folder.',
    cause,
  });
}
