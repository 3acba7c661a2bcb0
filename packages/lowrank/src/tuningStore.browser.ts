import type { TuningStore } from '@lowrank/webgpu';

/** What was measured of kernels, in this origin's IndexedDB: database `lowrank-tuning`. */
export const tuningStore: TuningStore = {
  async read(name) {
    const found: unknown = await request('readonly', (store) => store.get(name));
    return typeof found === 'string' ? found : undefined;
  },
  async write(name, text) {
    await request('readwrite', (store) => store.put(text, name));
  },
};

const storeName = 'texts';

/** One request in a transaction of its own. The database is opened for it: nothing of it stays open. */
async function request<T>(mode: IDBTransactionMode, make: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const opening = indexedDB.open('lowrank-tuning', 1);
  opening.onupgradeneeded = () => void opening.result.createObjectStore(storeName);
  const database = await settled(opening);
  try {
    return await settled(make(database.transaction(storeName, mode).objectStore(storeName)));
  } finally {
    // It closes when its transactions have ended.
    database.close();
  }
}

function settled<T>(asked: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error ?? new Error('IndexedDB'));
  });
}
