import { LowrankError } from '@lowrank/errors';
import { isAlive } from './saving.js';

/** A folder that one process writes into. */
export interface FolderLock {
  release(): Promise<void>;
}

const lockName = '.lowrank-lock';

/** What a lock says of its holder. */
interface Holder {
  readonly pid: number;
  readonly host: string;
  readonly since: string;
}

/**
 * Takes a folder for this process (Node). A lock of a process of this machine that has ended is taken over; one of
 * another machine, which cannot be asked, is not.
 *
 * @throws LowrankError `files.locked`, which names the holder
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const { rm, writeFile } = await import('node:fs/promises');
  const paths = await import('node:path');
  const { hostname } = await import('node:os');
  const path = paths.join(folder, lockName);
  const own: Holder = { pid: process.pid, host: hostname(), since: new Date().toISOString() };
  for (let attempt = 0; ; attempt++) {
    try {
      await writeFile(path, JSON.stringify(own), { flag: 'wx' });
      return { release: () => rm(path, { force: true }) };
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
    const holder = await holderOf(path);
    const gone = holder !== undefined && holder.host === own.host && !isAlive(holder.pid);
    if (!gone || attempt > 0) throw locked(folder, holder, path);
    await rm(path, { force: true });
  }
}

async function holderOf(path: string): Promise<Holder | undefined> {
  const { readFile } = await import('node:fs/promises');
  try {
    const value: unknown = JSON.parse(await readFile(path, 'utf8'));
    const isHolder = typeof value === 'object' && value !== null && 'pid' in value && 'host' in value;
    return isHolder ? (value as Holder) : undefined;
  } catch {
    return undefined;
  }
}

function locked(folder: string, holder: Holder | undefined, path: string): LowrankError {
  return new LowrankError({
    code: 'files.locked',
    what: `the folder ${folder}`,
    expected: 'one that no other process writes into',
    got:
      holder === undefined
        ? 'a lock that does not name its process'
        : `process ${holder.pid} on ${holder.host}, since ${holder.since}`,
    remedy: `Wait for it, or choose another folder. If that process is gone, remove ${path}.`,
  });
}
