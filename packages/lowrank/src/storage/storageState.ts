import { adaptersFolder, modelsFolder, runsFolder, settingsFolder } from './places.js';
import { treeSize } from './treeSize.js';

/** Something that a person may want to know before it costs a run. */
export interface StorageWarning {
  /** `storage.evictable`, `storage.low`, `tab.hidden`. */
  readonly code: string;
  readonly text: string;
  readonly remedy: string;
}

/** What the browser gives this origin. */
export interface StorageState {
  /** By all that the origin stores; of Lowrank's own folders where the platform tells nothing. */
  readonly usedBytes: number;
  /** What it may store in all; undefined where the platform does not tell (Node). */
  readonly quotaBytes: number | undefined;
  readonly freeBytes: number | undefined;
  /** Whether the browser removes it only when a person says so. */
  readonly isPersistent: boolean;
  readonly warnings: readonly StorageWarning[];
}

/** Less than this is soon full of checkpoints. */
const low = 100 * 2 ** 20;

/** How much is stored and may be, whether it stays, and whether this page is one that the browser slows down. */
export async function storageState(): Promise<StorageState> {
  const manager = managerOf();
  const { usage, quota } = (await manager?.estimate().catch(() => undefined)) ?? {};
  const isPersistent = manager === undefined || (await manager.persisted().catch(() => false));
  const usedBytes = usage ?? (await ownSize());
  const freeBytes = quota === undefined ? undefined : Math.max(0, quota - usedBytes);
  const warnings: StorageWarning[] = [];
  if (!isPersistent)
    warnings.push({
      code: 'storage.evictable',
      text: 'The browser may remove what this site stores when the disk is full, or after weeks without a visit.',
      remedy: 'storage.persist() asks it to keep everything; download what must not be lost.',
    });
  if (freeBytes !== undefined && freeBytes < low)
    warnings.push({
      code: 'storage.low',
      text: `The browser gives this site ${(freeBytes / 1e6).toFixed(0)} MB more.`,
      remedy: 'Remove stored models or runs, keep fewer checkpoints (keepLast), or free some of the disk.',
    });
  if ((globalThis as { document?: { hidden?: boolean } }).document?.hidden === true)
    warnings.push({
      code: 'tab.hidden',
      text: 'The tab is in the background: browsers slow down its timers and, on phones, may stop or discard it.',
      remedy: 'Train in a worker, which goes on at full speed (lowrank/worker), with saveEvery; keep phones awake.',
    });
  return { usedBytes, quotaBytes: quota, freeBytes, isPersistent, warnings };
}

/** Asks the browser not to remove what this origin stores. Resolves to whether it says so. */
export async function persistStorage(): Promise<boolean> {
  const manager = managerOf();
  if (manager === undefined) return true;
  // Workers may ask for the state, and only pages for another one.
  if (manager.persist === undefined) return manager.persisted();
  return manager.persist();
}

/** Of browsers; Node has a navigator without one. */
function managerOf(): (Omit<StorageManager, 'persist'> & { persist?(): Promise<boolean> }) | undefined {
  return (globalThis.navigator as (Navigator & { storage?: StorageManager }) | undefined)?.storage;
}

async function ownSize(): Promise<number> {
  let bytes = 0;
  for (const folder of [modelsFolder, runsFolder, adaptersFolder, settingsFolder]) bytes += await treeSize(folder);
  return bytes;
}
