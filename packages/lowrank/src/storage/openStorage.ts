import { ownDisk } from '@lowrank/files';
import type { ModelSource } from '../front/modelSource.js';
import type { MethodFiles } from '@lowrank/methods';
import type { StorageState } from './storageState.js';
import { persistStorage, storageState } from './storageState.js';
import type { StoredAdapter } from './storedAdapters.js';
import { adapterFiles, keepAdapter, removeStoredAdapter, storedAdapters } from './storedAdapters.js';
import { listJson, readJson, removeJson, writeJson } from './storedJson.js';
import type { KeepModelOptions, StoredModel } from './storedModels.js';
import { keepModel, removeStoredModel, storedModels } from './storedModels.js';
import type { StoredRun } from './storedRuns.js';
import { removeStoredRun, runFolder, storedRuns } from './storedRuns.js';

/**
 * What Lowrank keeps of this origin in the browser's private file system: models, runs with their checkpoints, and
 * small values of the page's own. Everything is a path, so that `loadModel`, `fineTune` and a worker take it as it is.
 * In Node the same folders lie in the current one.
 */
export interface LowrankStorage {
  /** How much there is and may be, whether it stays, and what to know besides. */
  state(): Promise<StorageState>;
  /** Asks the browser not to remove it. Resolves to whether it says so. */
  persist(): Promise<boolean>;

  /**
   * The path of a run: `fineTune(model, { output: storage.runFolder('first') })`.
   *
   * @throws LowrankError `files.unsafeName`
   */
  runFolder(id: string): string;
  runs(): Promise<StoredRun[]>;
  /** @throws LowrankError `files.locked` while it is trained, `storage.none` */
  removeRun(id: string): Promise<void>;

  /**
   * Brings a model into the storage; `source` of what it gives is what `loadModel` takes.
   *
   * @throws LowrankError `storage.quota`
   */
  keepModel(source: ModelSource, options?: KeepModelOptions): Promise<StoredModel>;
  models(): Promise<StoredModel[]>;
  /** @throws LowrankError `storage.none`, `storage.used` */
  removeModel(name: string): Promise<void>;

  /**
   * Keeps an adapter's files, as `run.files()` gives them; `source` is what `loadAdapter` takes.
   *
   * @throws LowrankError `storage.quota`
   */
  keepAdapter(name: string, files: MethodFiles): Promise<StoredAdapter>;
  adapters(): Promise<StoredAdapter[]>;
  /** @throws LowrankError `storage.none` */
  adapterFiles(name: string): Promise<Record<string, Uint8Array>>;
  /** @throws LowrankError `storage.none` */
  removeAdapter(name: string): Promise<void>;

  /** A small value of the page's own. @throws LowrankError `storage.quota` */
  writeJson(name: string, value: unknown): Promise<void>;
  /** Undefined where there is none. @throws LowrankError `storage.damaged` */
  readJson(name: string): Promise<unknown>;
  removeJson(name: string): Promise<void>;
  listJson(): Promise<string[]>;
  /** A file as text, such as metrics.jsonl of a run; undefined where there is none. */
  readText(path: string): Promise<string | undefined>;
  /** The names in a folder. */
  list(path: string): Promise<string[]>;
}

/**
 * Opens the storage of this origin.
 *
 * @throws LowrankError `storage.unavailable` where the browser has none for this page
 */
export async function openStorage(): Promise<LowrankStorage> {
  // Fails where there is none.
  await ownDisk.list('.');
  return {
    state: storageState,
    persist: persistStorage,
    runFolder,
    runs: storedRuns,
    removeRun: removeStoredRun,
    keepModel,
    models: storedModels,
    removeModel: removeStoredModel,
    keepAdapter,
    adapters: storedAdapters,
    adapterFiles,
    removeAdapter: removeStoredAdapter,
    writeJson,
    readJson,
    removeJson,
    listJson,
    readText: (path) => ownDisk.readText(path),
    list: (path) => ownDisk.list(path),
  };
}
