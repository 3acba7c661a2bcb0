import { isLowrankError, LowrankError } from '@lowrank/errors';

/** An error as a message carries it: its class does not survive cloning, its words do. */
export interface WiredError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  /** Of a LowrankError: `code`, `what`, `expected`, `got`, `remedy`, `setting`. */
  readonly complaint: Complaint | undefined;
  readonly isDomException: boolean;
}

interface Complaint {
  readonly code: string;
  readonly what: string;
  readonly expected: string | undefined;
  readonly got: string | undefined;
  readonly remedy: string | undefined;
  readonly setting: string | undefined;
}

export function wiredError(error: unknown): WiredError {
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
  const isDomException = typeof DOMException !== 'undefined' && error instanceof DOMException;
  if (!isLowrankError(error)) return { name, message, stack, complaint: undefined, isDomException };
  const { code, what, expected, got, remedy, setting } = error;
  return { name, message, stack, complaint: { code, what, expected, got, remedy, setting }, isDomException };
}

/** The error again; its stack is that of the thread where it happened. */
export function errorOf({ name, message, stack, complaint, isDomException }: WiredError): Error {
  if (isDomException) return new DOMException(message, name);
  const error = complaint === undefined ? new Error(message) : new LowrankError(complaint);
  if (error.name !== name) Object.defineProperty(error, 'name', { value: name, configurable: true });
  if (stack !== undefined) error.stack = stack;
  return error;
}
