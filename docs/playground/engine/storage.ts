import type { RemoteStorage, Trainer } from 'lowrank/worker';
import { startEngine } from './engine';

let started: Promise<Trainer> | undefined;

/**
 * The browser's storage of this site (`lowrank/storage`), in a worker of its own: none of it is part of the page.
 * Undefined where this window has none.
 */
export async function pageStorage(): Promise<RemoteStorage | undefined> {
  started ??= startEngine();
  try {
    return await storageOf(await started);
  } catch (error) {
    // The next one who asks starts another.
    started = undefined;
    throw error;
  }
}

/** The same in the worker that has a model. */
export async function storageOf(engine: Trainer): Promise<RemoteStorage | undefined> {
  try {
    return await engine.openStorage();
  } catch (error) {
    if ((error as { readonly code?: unknown }).code === 'storage.unavailable') return undefined;
    throw error;
  }
}
