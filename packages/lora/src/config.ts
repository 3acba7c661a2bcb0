import { LowrankError } from '@lowrank/errors';
import type { GivenOptions, OptionsOf, ParsedOptions } from '@lowrank/settings';
import { parseOptions } from '@lowrank/settings';
import { PathPattern } from './pathPattern.js';
import { evaSettings } from './evaSettings.js';
import { loraSettings } from './settings.js';
import { checkTokenIndices } from './trainedTokens.js';
import type { NamedVariant } from './variant.js';

/** A checked configuration of LoRA: PEFT's LoraConfig. Its settings are declared in settings.ts. */
export type LoraConfig = ParsedOptions<typeof loraSettings>;

/** Checked settings of EVA. */
export type EvaConfig = ParsedOptions<typeof evaSettings>;

/**
 * A checked configuration from what a user gave; alpha defaults to r (a factor of 1).
 *
 * @throws LowrankError `lora.config` for a setting that there is not (the nearest is named), that is out of bounds, or
 * that another one excludes
 */
export function loraConfig(given: GivenOptions<typeof loraSettings>): LoraConfig {
  const config = parseOptions(loraSettings, given);
  checkTokenIndices(config.trainableTokenIndices);
  if (config.variant !== undefined) checkVariant(config.variant);
  checkPatterns(config);
  return config.init === 'eva' ? { ...config, eva: evaConfig(config.eva) } : config;
}

/** @throws LowrankError `lora.config` */
export function evaConfig(given: OptionsOf<typeof evaSettings> = {}): EvaConfig {
  return parseOptions(evaSettings, given);
}

function checkVariant({ name, vector }: NamedVariant): void {
  if (!/^[A-Za-z][\w.-]*$/.test(name)) throw invalid('variant', 'a name of letters, digits, dots and dashes', name);
  // This prefix marks what belongs to an adapter in a file.
  if (vector !== undefined && !/^lora_(?!([AB]|embedding_[AB])$)\w+$/.test(vector))
    throw invalid('variant', 'a vector named lora_ and more, but not as A and B are', vector);
}

/** Every pattern has to be a regular expression, and there has to be a target. */
function checkPatterns(config: LoraConfig): void {
  const { targetModules, excludeModules = [], layersPattern = [], modulesToSave = [] } = config;
  if (targetModules.length === 0 && config.peftType === undefined)
    throw invalid('targetModules', "names, a regular expression, or 'all-linear'", 'nothing');
  for (const targets of [targetModules, excludeModules])
    if (typeof targets === 'string') PathPattern.of(targets, 'whole');
  for (const pattern of layersPattern) PathPattern.of(pattern, 'layer');
  for (const name of modulesToSave) PathPattern.of(name, 'inside');
  for (const patterns of [config.rankPattern, config.alphaPattern]) checkEnds(Object.keys(patterns));
}

/**
 * All patterns are looked through for each layer. More plain ones than a model has layers mean nothing; others people
 * write by hand, and they take a hundred times as long.
 */
const mostPatterns = { plain: 20_000, others: 256 };

function checkEnds(patterns: readonly string[]): void {
  if (patterns.length > mostPatterns.plain)
    throw invalid('rankPattern', `at most ${mostPatterns.plain} patterns`, String(patterns.length));
  let others = 0;
  for (const pattern of patterns) if (!PathPattern.of(pattern, 'end').isPlain) others++;
  if (others > mostPatterns.others)
    throw invalid('rankPattern', `at most ${mostPatterns.others} patterns that are more than a path`, String(others));
}

function invalid(setting: string, expected: string, got: string): LowrankError {
  return new LowrankError({
    code: loraSettings.code,
    what: (name) => `${loraSettings.subject} ${name(setting)}`,
    expected,
    got,
    setting,
  });
}

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
