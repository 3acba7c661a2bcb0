/** What becomes of a key of a folder's files. */
export interface KeyUse {
  readonly use: 'followed' | 'ignored' | 'refused';
  /** Of a followed key what it does, of an ignored one why numbers do not depend on it, of a refused one when. */
  readonly why: string;
  /** Of an object: its own keys. */
  readonly keys?: KeyTable | undefined;
}

/** The keys of a file. */
export type KeyTable = Readonly<Record<string, KeyUse>>;

/** A key of a file that changes what is computed; `keys` are those inside its value. */
export const followed = (why: string, keys?: KeyTable): KeyUse => ({ use: 'followed', why, keys });
/** A key of a file that changes nothing here, and why. */
export const ignored = (why: string): KeyUse => ({ use: 'ignored', why });
/** A key of a file that cannot be followed, and why: an error where it is set. */
export const refused = (why: string): KeyUse => ({ use: 'refused', why });

/** Several keys of one use. */
export function eachKey<Key extends string>(keys: readonly Key[], use: KeyUse): Record<Key, KeyUse> {
  return Object.fromEntries(keys.map((key) => [key, use])) as Record<Key, KeyUse>;
}

/**
 * The keys of a file that its table lacks, those of objects within by their paths. Keys that begin with an underscore
 * are a writer's own.
 */
export function unlistedKeys(json: Readonly<Record<string, unknown>>, table: KeyTable, prefix = ''): string[] {
  return Object.entries(json).flatMap(([key, value]) => {
    if (!Object.hasOwn(table, key)) return key.startsWith('_') ? [] : [prefix + key];
    const keys = table[key]?.keys;
    return keys === undefined || typeof value !== 'object' || value === null || Array.isArray(value)
      ? []
      : unlistedKeys(value as Readonly<Record<string, unknown>>, keys, `${prefix}${key}.`);
  });
}

/** The warning for a key that no table has. */
export function unlistedKey(key: string, file: string): string {
  return `${file}: the key ${JSON.stringify(key.slice(0, 120))} is not known here, and ignored.`;
}
