import { LowrankError, shown as shownJson } from '@lowrank/errors';

/** A JSON object of tokenizer.json. */
export type PartJson = Readonly<Record<string, unknown>>;

export function isPart(value: unknown): value is PartJson {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What a reader of tokenizer.json refuses: by its place in the file. */
export function unusablePart(what: string, expected: string, got: unknown, cause?: unknown): LowrankError {
  const shown = typeof got === 'string' ? got : shownJson(got);
  return new LowrankError({
    code: 'data.tokenizer',
    what,
    expected,
    got: shown.length > 80 ? `${shown.slice(0, 77)}...` : shown,
    remedy: 'Use a tokenizer.json as saved by a fast tokenizer of transformers (tokenizer.save_pretrained).',
    cause,
  });
}

/** The entry of a table that a file names: `constructor` is none. */
export function entryOf<Value>(table: Readonly<Record<string, Value>>, name: string): Value | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

/** The `type` of a section, or what kind of thing is in its place. */
export function typeOf(json: unknown): string {
  if (!isPart(json)) return shownJson(json);
  return typeof json['type'] === 'string' ? json['type'] : 'no type';
}

export function textOf(json: PartJson, key: string, place: string, fallback?: string): string {
  const value = json[key] ?? fallback;
  if (typeof value === 'string') return value;
  throw unusablePart(`${key} in ${place}`, 'a string', value);
}

export function flagOf(json: PartJson, key: string, place: string, fallback?: boolean): boolean {
  const value = json[key] ?? fallback;
  if (typeof value === 'boolean') return value;
  throw unusablePart(`${key} in ${place}`, 'true or false', value);
}

export function countOf(json: PartJson, key: string, place: string, fallback?: number): number {
  const value = json[key] ?? fallback;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw unusablePart(`${key} in ${place}`, 'a whole number', value);
}

export function listOf(json: PartJson, key: string, place: string): readonly unknown[] {
  const value = json[key];
  if (Array.isArray(value)) return value as readonly unknown[];
  throw unusablePart(`${key} in ${place}`, 'a list', value);
}

/** One of the given words. */
export function wordOf<Word extends string>(
  json: PartJson,
  { key, place, words, fallback }: { key: string; place: string; words: readonly Word[]; fallback?: Word },
): Word {
  const value = json[key] ?? fallback;
  const found = words.find((word) => word === value);
  if (found !== undefined) return found;
  throw unusablePart(`${key} in ${place}`, words.join(', '), value);
}
