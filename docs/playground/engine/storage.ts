import type { RemoteStorage, Trainer } from 'lowrank/worker';

/** The browser's storage of this site (`lowrank/storage`), in the model's worker; undefined where there is none. */
export async function storageOf(engine: Trainer): Promise<RemoteStorage | undefined> {
  try {
    return await engine.openStorage();
  } catch (error) {
    if ((error as { readonly code?: unknown }).code === 'storage.unavailable') return undefined;
    throw error;
  }
}
