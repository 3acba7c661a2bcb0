import { LowrankError } from '@lowrank/errors';
import type { FolderLock } from './disk.js';
import type { ProcessMark } from './processMark.js';
import { isAlive, ownMark, parseMark, stateOf } from './processMark.js';

const lockPrefix = '.lowrank-lock-';
/** A process that takes a lock names itself in it within this time (milliseconds), or has ended before. */
const namingTime = 5_000;
/** How often a holder touches its lock, and how long one of a machine that cannot be asked counts untouched. */
const [touchTime, silentTime] = [60_000, 15 * 60_000];
const mostAttempts = 12;
const heldMark = '\n';

/**
 * Takes a folder for this process, or the file `name` of a folder (Node).
 *
 * Each process makes a lock file of its own name first and looks for others' then; whoever finds one of a process that
 * runs takes its own away. Of two, the later one finds the earlier one's, so never both hold the folder, even where
 * both take it over from a process that has ended; of several that begin at once, one gets it after a few tries. A lock
 * counts until its process has ended (its number may be another process' by then), or, on a machine that cannot be
 * asked, until nobody has touched it for 15 minutes.
 *
 * @throws LowrankError `files.locked`, which names the holder
 */
export async function lockFolder(folder: string, name?: string): Promise<FolderLock> {
  const { appendFile, rm, utimes } = await import('node:fs/promises');
  const paths = await import('node:path');
  const prefix = name === undefined ? lockPrefix : `.${name}${lockPrefix}`;
  const own = await ownMark();
  for (let attempt = 1; ; attempt++) {
    const file = `${prefix}${own.pid}-${Math.random().toString(36).slice(2, 10)}`;
    const path = paths.join(folder, file);
    await make(path, own);
    const found = await holders(folder, { prefix, own, file });
    if (found.mine && found.others.length === 0) {
      // Tells whoever comes now that it stays. Where that fails they only wait a little for nothing.
      await appendFile(path, heldMark).catch(() => undefined);
      const timer = setInterval(() => void utimes(path, new Date(), new Date()).catch(() => undefined), touchTime);
      timer.unref();
      return {
        async release() {
          clearInterval(timer);
          await rm(path, { force: true });
        },
      };
    }
    await rm(path, { force: true });
    const [other] = found.others;
    // One that has just begun may go away again, as this one does.
    if (attempt === mostAttempts || other?.isHeld === true) throw locked(folder, other);
    await new Promise((resolve) => void setTimeout(resolve, Math.random() * 20 * attempt));
  }
}

/** Whether a process that runs, or that cannot be asked, has taken a folder. */
export async function isLocked(folder: string): Promise<boolean> {
  const found = await holders(folder, { prefix: lockPrefix, own: await ownMark(), file: '' }).catch(() => undefined);
  return found !== undefined && found.others.length > 0;
}

async function make(path: string, own: ProcessMark): Promise<void> {
  const { rm, writeFile } = await import('node:fs/promises');
  try {
    await writeFile(path, JSON.stringify(own), { flag: 'wx' });
  } catch (error) {
    // A full disk leaves it empty.
    await rm(path, { force: true }).catch(() => undefined);
    throw error;
  }
}

interface Holder {
  readonly path: string;
  /** Undefined while it is being written. */
  readonly mark: ProcessMark | undefined;
  /** It stays: its process has looked for others. */
  readonly isHeld: boolean;
}

/** The locks of others that count; those of processes that have ended are removed. */
async function holders(
  folder: string,
  { prefix, own, file }: { readonly prefix: string; readonly own: ProcessMark; readonly file: string },
): Promise<{ readonly mine: boolean; readonly others: Holder[] }> {
  const { readFile, readdir, rm, stat } = await import('node:fs/promises');
  const paths = await import('node:path');
  const names = (await readdir(folder)).filter((entry) => entry.startsWith(prefix));
  const others: Holder[] = [];
  for (const entry of names) {
    if (entry === file) continue;
    const path = paths.join(folder, entry);
    const touched = await stat(path).catch(() => undefined);
    if (touched === undefined) continue;
    const age = Date.now() - touched.mtimeMs;
    const text = await readFile(path, 'utf8').catch(() => '');
    const mark = parseMark(text);
    const pid = Number.parseInt(entry.slice(prefix.length), 10);
    const isOver =
      mark === undefined
        ? age > namingTime || !isAlive(pid)
        : await hasEnded(mark, { own, isSilent: age > silentTime });
    if (isOver) await rm(path, { force: true });
    else others.push({ path, mark, isHeld: text.endsWith(heldMark) });
  }
  return { mine: names.includes(file), others };
}

async function hasEnded(
  mark: ProcessMark,
  { own, isSilent }: { readonly own: ProcessMark; readonly isSilent: boolean },
): Promise<boolean> {
  const state = await stateOf(mark, own);
  return state === 'ended' || (state === 'unknown' && isSilent);
}

function locked(folder: string, holder: Holder | undefined): LowrankError {
  const { mark, path } = holder ?? {};
  return new LowrankError({
    code: 'files.locked',
    what: `the output ${folder}`,
    expected: 'one that no other process writes into',
    got: mark === undefined ? 'several that begin at once' : `process ${mark.pid} on ${mark.host}, since ${mark.since}`,
    remedy:
      'Wait for it, or choose another output.' +
      (path === undefined ? '' : ` If that process is gone, remove ${path}.`),
  });
}
