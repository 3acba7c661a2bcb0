import { LowrankError } from '@lowrank/errors';

/** Options of `safeName`. */
export interface SafeNameOptions {
  /** What errors call it: 'the commit of the hub', 'the job id'. */
  readonly what: string;
  /** The shape it must have besides. Default: letters, digits, dots, dashes, underscores, at most 200 of them. */
  readonly pattern?: RegExp | undefined;
}

/**
 * A name that came from elsewhere (a hub, an index, an archive, a queue) and is about to become one part of a path:
 * never a way out of the folder it is put into, a hidden file, a device, or several parts.
 *
 * @throws LowrankError `files.unsafeName`
 */
export function safeName(name: unknown, { what, pattern = /^[\w.-]{1,200}$/ }: SafeNameOptions): string {
  if (typeof name === 'string' && pattern.test(name) && !isUnsafe(name)) return name;
  throw new LowrankError({
    code: 'files.unsafeName',
    what,
    expected: `a name that can be a file name (${pattern.source})`,
    got: (JSON.stringify(name) ?? String(name)).slice(0, 120),
    remedy: 'Whoever sent it is mistaken or hostile: nothing was read or written under that name.',
  });
}

function isUnsafe(name: string): boolean {
  return (
    name === '' ||
    name.startsWith('.') ||
    // Windows drops dots and spaces at the end.
    /[. ]$/.test(name) ||
    // Separators of any system, drives and streams of Windows; control characters are beyond any sensible pattern.
    /[/\\:]/.test(name) ||
    name.split('').some((char) => char < ' ') ||
    /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i.test(name)
  );
}
