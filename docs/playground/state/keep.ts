/** A place where the page keeps what it has between visits: plain data by name, in the browser's own database. */
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
    const table = (mode: IDBTransactionMode): IDBObjectStore => database.transaction(store, mode).objectStore(store);
    return {
      get: <T>(name: string) => answered(() => table('readonly').get(name) as IDBRequest<T | undefined>),
      set: async (name, value) => void (await answered(() => table('readwrite').put(value, name))),
      remove: async (name) => void (await answered(() => table('readwrite').delete(name))),
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
