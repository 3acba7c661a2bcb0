import { LowrankError, shown } from '@lowrank/errors';

/** An object parsed from JSON. */
export type Json = Readonly<Record<string, unknown>>;

/** A value that is an object, or an empty one. */
export function objectOf(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** @throws LowrankError `gguf.config` */
export function refuse(key: string, expected: string, got: unknown): never {
  throw new LowrankError({
    code: 'gguf.config',
    what: `${key} in config.json`,
    expected,
    got: shown(got),
    remedy: 'Lowrank does not write models that llama.cpp would compute wrongly.',
  });
}
