import { joinPath, ownDisk } from '@lowrank/files';
import type { MethodFiles } from '@lowrank/methods';
import { saveFolder } from '../saveFolder.js';
import { adaptersFolder } from './places.js';
import { nothing } from './storedRuns.js';
import { treeSize } from './treeSize.js';

/** An adapter in the storage. */
export interface StoredAdapter {
  readonly name: string;
  /** What `loadAdapter` takes. */
  readonly source: string;
  readonly bytes: number;
}

const folderOf = (name: string): string => joinPath(adaptersFolder, encodeURIComponent(name));

/**
 * Keeps the files of an adapter, as `run.files()` and `model.adapterFiles()` give them, whole or not at all.
 *
 * @throws LowrankError `storage.quota`, `files.locked`, `files.notWritten`
 */
export async function keepAdapter(name: string, files: MethodFiles): Promise<StoredAdapter> {
  const source = folderOf(name);
  await ownDisk.makeFolders(adaptersFolder);
  await saveFolder(source, files);
  return { name, source, bytes: await treeSize(source) };
}

/** The adapters of this origin, by their names. */
export async function storedAdapters(): Promise<StoredAdapter[]> {
  const adapters: StoredAdapter[] = [];
  for (const entry of (await ownDisk.list(adaptersFolder)).sort()) {
    const source = joinPath(adaptersFolder, entry);
    if (!(await ownDisk.list(source)).includes('adapter_config.json')) continue;
    adapters.push({ name: decodeURIComponent(entry), source, bytes: await treeSize(source) });
  }
  return adapters;
}

/** The files of an adapter, to be downloaded or attached. @throws LowrankError `storage.none` */
export async function adapterFiles(name: string): Promise<Record<string, Uint8Array>> {
  const folder = folderOf(name);
  const files: Record<string, Uint8Array> = {};
  for (const file of await ownDisk.list(folder)) {
    const path = joinPath(folder, file);
    const found = await ownDisk.stat(path);
    if (found?.kind === 'file' && !file.startsWith('.')) files[file] = await ownDisk.read(path, 0, found.bytes);
  }
  if (Object.keys(files).length === 0) throw nothing(`the adapter ${name}`);
  return files;
}

/** Removes an adapter. @throws LowrankError `storage.none` */
export async function removeStoredAdapter(name: string): Promise<void> {
  const folder = folderOf(name);
  if ((await ownDisk.stat(folder))?.kind !== 'folder') throw nothing(`the adapter ${name}`);
  // Without its configuration it is none, also where the rest cannot be removed at once.
  await ownDisk.removeFile(joinPath(folder, 'adapter_config.json'));
  await ownDisk.removeTree(folder);
}
