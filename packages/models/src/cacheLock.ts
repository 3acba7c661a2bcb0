/** A lock that another process respects. */
export interface FileLock {
  /** Tells now and then that its holder is alive. */
  touch(): Promise<void>;
  release(): Promise<void>;
}

/** A lock that nobody has touched for so long is nobody's: its process may be one of another machine. */
const staleSeconds = 120;
const secondsBetweenTouches = 5;

/**
 * Makes a file that nobody else makes at the same time, waiting as long as another process holds it (Node). A lock of a
 * process that has ended is taken over.
 */
export async function lockFile(path: string): Promise<FileLock> {
  const fs = await import('node:fs/promises');
  for (;;) {
    try {
      await fs.writeFile(path, String(process.pid), { flag: 'wx' });
      break;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
      if (await isStale(path)) await fs.rm(path, { force: true });
      else await new Promise((resolve) => void setTimeout(resolve, 200));
    }
  }
  let touched = performance.now();
  return {
    async touch() {
      if (performance.now() - touched < secondsBetweenTouches * 1000) return;
      touched = performance.now();
      await fs.utimes(path, new Date(), new Date()).catch(() => undefined);
    },
    release: () => fs.rm(path, { force: true }),
  };
}

async function isStale(path: string): Promise<boolean> {
  const fs = await import('node:fs/promises');
  const stat = await fs.stat(path).catch(() => undefined);
  const pid = Number(await fs.readFile(path, 'utf8').catch(() => ''));
  if (stat === undefined) return false;
  if (Date.now() - stat.mtimeMs > staleSeconds * 1000) return true;
  // Its holder writes its number right after it has made the file.
  if (!Number.isInteger(pid) || pid === 0) return false;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ESRCH';
  }
}
