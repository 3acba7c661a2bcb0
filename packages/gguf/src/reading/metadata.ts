import { LowrankError, shown } from '@lowrank/errors';
import type { ReadValue } from './headerCursor.js';

/** A file's metadata by key, each value checked as it is asked for. */
export class Metadata {
  constructor(
    /** What errors call it. */
    readonly file: string,
    private readonly values: ReadonlyMap<string, ReadValue>,
  ) {}

  keys(): Iterable<string> {
    return this.values.keys();
  }

  has(key: string): boolean {
    return this.values.has(key);
  }

  /** @throws LowrankError `gguf.metadata` for another type, or for nothing where there is no fallback */
  number(key: string, fallback?: number): number {
    const value = this.values.get(key) ?? fallback;
    return typeof value === 'number' && Number.isFinite(value) ? value : this.refuse(key, 'a number', value);
  }

  optionalNumber(key: string): number | undefined {
    return this.has(key) ? this.number(key) : undefined;
  }

  /** A whole number above 0; of a list with a number for each layer the one that they share. */
  size(key: string, fallback?: number): number {
    const given = this.values.get(key) ?? fallback;
    const value =
      Array.isArray(given) && given.length > 0 && given.every((each) => each === given[0])
        ? (given[0] as unknown)
        : given;
    return typeof value === 'number' && Number.isSafeInteger(value) && value > 0
      ? value
      : this.refuse(key, 'a whole number above 0, the same for all layers', value);
  }

  optionalText(key: string): string | undefined {
    const value = this.values.get(key);
    return value === undefined || typeof value === 'string' ? value : this.refuse(key, 'a text', value);
  }

  text(key: string): string {
    return this.optionalText(key) ?? this.refuse(key, 'a text', undefined);
  }

  optionalFlag(key: string): boolean | undefined {
    const value = this.values.get(key);
    return value === undefined || typeof value === 'boolean' ? value : this.refuse(key, 'true or false', value);
  }

  optionalTexts(key: string): readonly string[] | undefined {
    const value = this.values.get(key);
    if (value === undefined) return undefined;
    return Array.isArray(value) && value.every((each) => typeof each === 'string')
      ? (value as readonly string[])
      : this.refuse(key, 'a list of texts', value);
  }

  optionalNumbers(key: string): readonly number[] | undefined {
    const value = this.values.get(key);
    if (value === undefined) return undefined;
    return Array.isArray(value) && value.every((each) => typeof each === 'number')
      ? (value as readonly number[])
      : this.refuse(key, 'a list of numbers', value);
  }

  refuse(key: string, expected: string, got: unknown): never {
    throw new LowrankError({
      code: 'gguf.metadata',
      what: `${key} in ${this.file}`,
      expected,
      got: got === undefined ? 'none' : typeof got === 'bigint' ? String(got) : shown(got, 80),
      remedy: "Use a file that llama.cpp's own converter wrote.",
    });
  }
}
