import { LowrankError } from '@lowrank/errors';
import { joinPath, ownDisk } from '@lowrank/files';
import type { ModelFiles } from '@lowrank/models';
import { findFiles } from '../front/modelSource.js';
import type { ModelSource } from '../front/modelSource.js';
import type { KeepOptions } from './keepFiles.js';
import { keepFiles, keptFile } from './keepFiles.js';
import { modelFolder, modelsFolder } from './places.js';
import { nothing } from './storedRuns.js';
import { treeSize } from './treeSize.js';

/** A model in the storage. */
export interface StoredModel {
  /** The hub id, the address, or the name that it was kept under. */
  readonly name: string;
  /** What `loadModel` takes. */
  readonly source: string;
  readonly bytes: number;
  /** Whether all of it has arrived. */
  readonly isWhole: boolean;
}

/** Options of `keepModel`. */
export interface KeepModelOptions extends KeepOptions {
  /** Of picked files and folders; letters, digits, dots, dashes, blanks. Default: the folder's. */
  readonly name?: string | undefined;
}

/**
 * Brings a model into the storage: of a hub or below a URL by a download that goes on where an earlier one ended, of
 * picked files or a picked folder by a copy that does so too.
 *
 * @throws LowrankError `storage.quota`, `files.locked`, and what loadModel throws for such a source
 */
export async function keepModel(source: ModelSource, options: KeepModelOptions = {}): Promise<StoredModel> {
  const { onProgress: onDownload, signal } = options;
  const found = await findFiles(source, 'model', { onDownload, signal });
  if (typeof source === 'string') {
    const stored = (await storedModels()).find(({ name }) => name === found.name || found.name.startsWith(`${name}@`));
    return stored ?? { name: found.name, source, bytes: 0, isWhole: true };
  }
  const name = options.name ?? nameOfPicked(source, found.files);
  const folder = modelFolder(name);
  await keepFiles(found.files, folder, name, options);
  return { name, source: folder, bytes: await treeSize(folder), isWhole: true };
}

function nameOfPicked(source: Exclude<ModelSource, string>, files: ModelFiles): string {
  const [first] = Symbol.iterator in source ? source : [];
  // Of a folder that was picked with <input webkitdirectory>.
  const folder = first?.webkitRelativePath.split('/').at(-2);
  return folder ?? (files.name === '' ? 'model' : files.name);
}

/** The models of this origin. */
export async function storedModels(): Promise<StoredModel[]> {
  const models: StoredModel[] = [];
  for (const entry of (await ownDisk.list(modelsFolder)).sort()) {
    const folder = joinPath(modelsFolder, entry);
    if ((await ownDisk.stat(folder))?.kind !== 'folder') continue;
    const names = await ownDisk.list(folder);
    const isCache = names.includes('blobs') || names.includes('snapshots');
    const isWhole = isCache ? names.includes('refs') || (await hasSnapshot(folder)) : names.includes(keptFile);
    const name = decodeURIComponent(entry);
    models.push({ name, source: isCache ? name : folder, bytes: await treeSize(folder), isWhole });
  }
  return models;
}

/** A commit that was asked for by its hash has no ref. Its weights come last. */
async function hasSnapshot(folder: string): Promise<boolean> {
  for (const snapshot of await ownDisk.list(joinPath(folder, 'snapshots')))
    if ((await ownDisk.list(joinPath(folder, 'snapshots', snapshot))).some((name) => name.endsWith('.safetensors')))
      return true;
  return false;
}

/** Removes a model. @throws LowrankError `storage.none`, `storage.used` while a tab reads or writes its files */
export async function removeStoredModel(name: string): Promise<void> {
  const folder = modelFolder(name);
  if ((await ownDisk.stat(folder))?.kind !== 'folder') throw nothing(`the model ${name}`);
  try {
    await ownDisk.removeTree(folder);
  } catch (cause) {
    throw new LowrankError({
      code: 'storage.used',
      what: `the model ${name}`,
      expected: 'one that no tab writes',
      got: cause instanceof Error ? cause.message : String(cause),
      remedy: 'Wait until its download has ended, or close the tab that downloads it.',
      cause,
    });
  }
}
