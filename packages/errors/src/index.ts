import { printable } from './printable.js';

export { parseJson } from './parseJson.js';
export { printable } from './printable.js';
export { shown } from './shown.js';

/**
 * Renders the name of a setting for one face of the library, with its value where that is meant: `method 'full'` for
 * programs, `--method full` for the command line.
 */
export type SettingNames = (setting: string, value?: string) => string;

/** A part of a sentence; a function where it names settings, so that each face can name them in its own way. */
export type Phrase = string | ((name: SettingNames) => string);

/**
 * What went wrong, in the words that mend it: what was looked at, what was expected, what came, and what to do. `code`
 * is stable and meant for programs; the sentence is meant for people.
 */
export interface Complaint {
  readonly code: string;
  /** The thing that is wrong, by name: a file, a key, a setting, an op with its module path. */
  readonly what: Phrase;
  readonly expected?: Phrase | undefined;
  readonly got?: Phrase | undefined;
  readonly remedy?: Phrase | undefined;
  /** The setting that is wrong, by the name that programs give it. */
  readonly setting?: string | undefined;
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
  readonly setting: string | undefined;
  /** The same sentence with other names for the settings in it. */
  readonly messageWith: (names: SettingNames) => string;

  constructor(complaint: Complaint) {
    super(sentence(complaint, plainNames), complaint.cause === undefined ? undefined : { cause: complaint.cause });
    this.code = complaint.code;
    this.what = rendered(complaint.what, plainNames);
    this.expected = rendered(complaint.expected, plainNames);
    this.got = rendered(complaint.got, plainNames);
    this.remedy = rendered(complaint.remedy, plainNames);
    this.setting = complaint.setting;
    this.messageWith = (names) => sentence(complaint, names);
    // No part of what an error says when it is printed.
    Object.defineProperty(this, 'messageWith', { enumerable: false });
  }
}

/**
 * True for a LowrankError of any copy of this package, so that a doubly installed dependency still gets a readable
 * message.
 */
export function isLowrankError(error: unknown): error is LowrankError {
  return error instanceof Error && 'code' in error && 'what' in error && 'remedy' in error;
}

/**
 * What an import of one of Node's modules is in a package's build for browsers.
 *
 * @throws LowrankError `node.absent`
 */
export function nodeAbsent(module: string): Promise<never> {
  return Promise.reject(
    new LowrankError({
      code: 'node.absent',
      what: `what needs ${module}`,
      expected: 'Node, Deno or Bun',
      got: 'a browser, or a bundle for one',
      remedy: 'Give files, a FileSystemDirectoryHandle or a URL in place of a path.',
    }),
  );
}

const lostDevices = ['webgpu.device-lost', 'cpu.threadLost'];

/** Whether what a backend held is gone, so that only another backend can go on from what was saved. */
export function isDeviceLost(error: unknown): error is LowrankError {
  return isLowrankError(error) && lostDevices.includes(error.code);
}

const beyondMemory = ['webgpu.out-of-memory', 'cpu.outOfMemory', 'tensor.binding'];

/** Whether less at once may fit: memory has run out, or a plan is beyond a limit of the device. */
export function isOutOfMemory(error: unknown): error is LowrankError {
  return isLowrankError(error) && beyondMemory.includes(error.code);
}

/** Settings as programs write them. */
const plainNames: SettingNames = (setting, value) => (value === undefined ? setting : `${setting} '${value}'`);

/** Longer parts are what a hostile file put there. */
const longestPart = 4000;

function rendered(part: Phrase, names: SettingNames): string;
function rendered(part: Phrase | undefined, names: SettingNames): string | undefined;
function rendered(part: Phrase | undefined, names: SettingNames): string | undefined {
  const text = typeof part === 'function' ? part(names) : part;
  // Parts quote files, which may be hostile.
  if (text === undefined) return undefined;
  return printable(text.length > longestPart ? `${text.slice(0, longestPart)}...` : text);
}

function sentence(complaint: Complaint, names: SettingNames): string {
  const what = rendered(complaint.what, names);
  const expected = rendered(complaint.expected, names);
  const got = rendered(complaint.got, names);
  const remedy = rendered(complaint.remedy, names);
  const details = [
    ...(expected === undefined ? [] : [`expected ${expected}`]),
    ...(got === undefined ? [] : [`got ${got}`]),
  ];
  const head = details.length === 0 ? what : `${what}: ${details.join(', ')}`;
  return remedy === undefined ? head : `${head}. ${remedy}`;
}
