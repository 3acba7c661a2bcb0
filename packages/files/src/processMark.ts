/** What a file says of the process that wrote it, so that others can tell whether that process still runs. */
export interface ProcessMark {
  readonly pid: number;
  readonly host: string;
  readonly since: string;
  /** The machine's own name (Linux): hosts may share theirs. */
  readonly machine?: string | undefined;
  /** Which start of the machine (Linux): process numbers begin anew with each. */
  readonly boot?: string | undefined;
  /** Whose process numbers these are (Linux): containers count for themselves. */
  readonly space?: string | undefined;
  /** When the process began, in ticks since the machine did (Linux): numbers are used again. */
  readonly started?: string | undefined;
}

/** `unknown`: the process is one of another machine or container, which cannot be asked. */
export type ProcessState = 'running' | 'ended' | 'unknown';

/** The mark of this process (Node). */
export async function ownMark(): Promise<ProcessMark> {
  const { hostname } = await import('node:os');
  return {
    pid: process.pid,
    host: hostname(),
    since: new Date().toISOString(),
    machine: await textOf('/etc/machine-id'),
    boot: await textOf('/proc/sys/kernel/random/boot_id'),
    space: await linkOf('/proc/self/ns/pid'),
    started: (await processOf('self'))?.started,
  };
}

/** A mark that was read from a file; undefined where it is none. */
export function parseMark(text: string): ProcessMark | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const isMark =
      typeof value === 'object' &&
      value !== null &&
      'pid' in value &&
      typeof value.pid === 'number' &&
      'host' in value &&
      typeof value.host === 'string';
    return isMark ? (value as ProcessMark) : undefined;
  } catch {
    return undefined;
  }
}

/** Whether the process of a mark runs, asked by the process of another. */
export async function stateOf(mark: ProcessMark, own: ProcessMark): Promise<ProcessState> {
  const differ = (key: keyof ProcessMark): boolean =>
    mark[key] !== undefined && own[key] !== undefined && mark[key] !== own[key];
  if (differ('host') || differ('machine')) return 'unknown';
  if (differ('boot') || (await isBeforeStart(mark))) return 'ended';
  if (differ('space')) return 'unknown';
  if (!isAlive(mark.pid)) return 'ended';
  const found = await processOf(String(mark.pid));
  if (found === undefined) return 'running';
  // Ended, and not yet waited for by the process that started it.
  if (/[ZX]/.test(found.state)) return 'ended';
  return mark.started !== undefined && mark.started !== found.started ? 'ended' : 'running';
}

/** Whether a process of this machine runs. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH');
  }
}

/** Where the system does not name its starts: whether the mark is older than this one. */
async function isBeforeStart({ boot, since }: ProcessMark): Promise<boolean> {
  if (boot !== undefined) return false;
  const { uptime } = await import('node:os');
  const minute = 60_000;
  return Date.parse(since) < Date.now() - uptime() * 1000 - minute;
}

/** State and start of a process, from Linux' `/proc/PID/stat`. */
async function processOf(pid: string): Promise<{ readonly state: string; readonly started: string } | undefined> {
  const text = await textOf(`/proc/${pid}/stat`);
  // The name of the program, in parentheses, may hold anything.
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state, started] = [fields?.[0], fields?.[19]];
  return state === undefined || started === undefined ? undefined : { state, started };
}

async function textOf(path: string): Promise<string | undefined> {
  const { readFile } = await import('node:fs/promises');
  const text = (await readFile(path, 'utf8').catch(() => '')).trim();
  return text === '' ? undefined : text;
}

async function linkOf(path: string): Promise<string | undefined> {
  const { readlink } = await import('node:fs/promises');
  return readlink(path).catch(() => undefined);
}
