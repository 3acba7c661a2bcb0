/**
 * What went wrong, told so that the reader can mend it: what was looked at, what was expected, what came, and what to
 * do. `code` is stable and meant for programs; the sentence is meant for people.
 */
export interface Complaint {
  readonly code: string;
  /** The thing that is wrong, by name: a file, a key, a flag, an op with its module path. */
  readonly what: string;
  readonly expected?: string | undefined;
  readonly got?: string | undefined;
  readonly remedy?: string | undefined;
  readonly cause?: unknown;
}

/**
 * The error every Lowrank package throws for input or circumstances it cannot go on with; anything else thrown is a
 * defect.
 */
export class LowrankError extends Error {
  override readonly name: string = 'LowrankError';
  readonly code: string;
  readonly what: string;
  readonly expected: string | undefined;
  readonly got: string | undefined;
  readonly remedy: string | undefined;

  constructor(complaint: Complaint) {
    super(sentence(complaint), complaint.cause === undefined ? undefined : { cause: complaint.cause });
    this.code = complaint.code;
    this.what = complaint.what;
    this.expected = complaint.expected;
    this.got = complaint.got;
    this.remedy = complaint.remedy;
  }
}

/**
 * True for a LowrankError of any copy of this package, so that a doubly installed dependency still gets a readable
 * message.
 */
export function isLowrankError(error: unknown): error is LowrankError {
  return error instanceof Error && 'code' in error && 'what' in error && 'remedy' in error;
}

function sentence({ what, expected, got, remedy }: Complaint): string {
  const parts = [what];
  if (expected !== undefined) parts.push(`expected ${expected}`);
  if (got !== undefined) parts.push(`got ${got}`);
  const head = parts.length > 1 ? `${parts[0]}: ${parts.slice(1).join(', ')}` : what;
  return remedy === undefined ? head : `${head}. ${remedy}`;
}
