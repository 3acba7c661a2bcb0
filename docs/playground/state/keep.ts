/**
 * A place where the page keeps what it is at between visits: settings, rows, and a run with the state to go on from,
 * which replaces the one before in one transaction. Plain data by name, in the browser's own database. Models are
 * in `lowrank/storage`.
 */
export interface Keep {
  get<T>(name: string): Promise<T | undefined>;
  set(name: string, value: unknown): Promise<void>;
  remove(name: string): Promise<void>;
}

const store = 'kept';

/**
 * Opens it. Where a browser has none (some private windows), what is kept lasts as long as the page, and `onForgets`
 * is told why.
 */
export async function openKeep(onForgets: (reason: string) => void): Promise<Keep> {
  try {
    const database = await answered(() => {
      const opening = indexedDB.open('lowrank-playground', 1);
      opening.onupgradeneeded = () => opening.result.createObjectStore(store);
      return opening;
    });
    return {
      get: <T>(name: string) =>
        answered(() => database.transaction(store).objectStore(store).get(name) as IDBRequest<T | undefined>),
      set: (name, value) => written(database, (table) => table.put(value, name)),
      remove: (name) => written(database, (table) => table.delete(name)),
    };
  } catch (error) {
    onForgets(error instanceof Error ? error.message : String(error));
    const values = new Map<string, unknown>();
    return {
      get: <T>(name: string) => Promise.resolve(values.get(name) as T | undefined),
      set: (name, value) => Promise.resolve(void values.set(name, value)),
      remove: (name) => Promise.resolve(void values.delete(name)),
    };
  }
}

function answered<T>(begin: () => IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const request = begin();
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('the browser’s database gave no reason'));
  });
}

/** Resolves when it is on the disk: where there is no room, the request succeeds and its transaction does not. */
function written(database: IDBDatabase, change: (table: IDBObjectStore) => unknown): Promise<void> {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(store, 'readwrite');
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error('the browser’s database gave no reason'));
    change(transaction.objectStore(store));
  });
}
