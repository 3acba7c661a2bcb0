import { LowrankError } from '@lowrank/errors';
import { joinPath, ownDisk, writeFileAtomic } from '@lowrank/files';
import { settingsFolder } from './places.js';

const suffix = '.json';

function pathOf(name: string): string {
  return joinPath(settingsFolder, `${encodeURIComponent(name)}${suffix}`);
}

/** Keeps a small value under a name, whole or not at all. @throws LowrankError `storage.quota`, `files.notWritten` */
export async function writeJson(name: string, value: unknown): Promise<void> {
  await ownDisk.makeFolders(settingsFolder);
  await writeFileAtomic(pathOf(name), `${JSON.stringify(value)}\n`);
}

/** The value under a name; undefined where there is none. @throws LowrankError `storage.damaged` */
export async function readJson(name: string): Promise<unknown> {
  const text = await ownDisk.readText(pathOf(name));
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new LowrankError({
      code: 'storage.damaged',
      what: `the stored value ${name}`,
      expected: 'JSON',
      got: cause instanceof Error ? cause.message : String(cause),
      remedy: 'Write it anew, or remove it: storage.removeJson().',
      cause,
    });
  }
}

/** Forgets the value under a name. */
export function removeJson(name: string): Promise<void> {
  return ownDisk.removeFile(pathOf(name));
}

/** The names that have a value. */
export async function listJson(): Promise<string[]> {
  const names = await ownDisk.list(settingsFolder);
  return names
    .filter((name) => !name.startsWith('.') && name.endsWith(suffix))
    .map((name) => decodeURIComponent(name.slice(0, -suffix.length)))
    .sort();
}
