import type { LoraConfig } from './config.js';
import { PathPattern } from './pathPattern.js';

/** The rank of the adapter at a module path. */
export function rankAt(config: LoraConfig, path: string): number {
  return patternValue(config.rankPattern, path) ?? config.r;
}

/**
 * The factor on BA at a module path: alpha/r, or alpha/√r (Kalajdzievski 2023, rsLoRA), with that module's own alpha
 * and r.
 */
export function scalingAt(config: LoraConfig, path: string): number {
  const rank = rankAt(config, path);
  return alphaAt(config, path) / (config.useRslora ? Math.sqrt(rank) : rank);
}

/** The alpha at a module path. */
export function alphaAt(config: LoraConfig, path: string): number {
  return patternValue(config.alphaPattern, path) ?? config.alpha;
}

interface PatternValues {
  readonly patterns: readonly (readonly [pattern: PathPattern, value: number])[];
  readonly found: Map<string, number | undefined>;
}

/** The same few records are asked for every layer, again and again. */
const valuesOf = new WeakMap<Readonly<Record<string, number>>, PatternValues>();

/** PEFT's rule: the first key, in order, that matches the end of the path as a regular expression. */
function patternValue(record: Readonly<Record<string, number>>, path: string): number | undefined {
  let values = valuesOf.get(record);
  if (values === undefined) {
    const patterns = Object.entries(record).map(([key, value]) => [PathPattern.of(key, 'end'), value] as const);
    valuesOf.set(record, (values = { patterns, found: new Map() }));
  }
  if (!values.found.has(path)) values.found.set(path, values.patterns.find(([pattern]) => pattern.matches(path))?.[1]);
  return values.found.get(path);
}
