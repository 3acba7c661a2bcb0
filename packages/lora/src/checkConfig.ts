import { LowrankError } from '@lowrank/errors';
import { checkRules, parseOptions } from '@lowrank/settings';
import type { OptionsOf, ParsedOptions } from '@lowrank/settings';
import type { LoraConfig } from './config.js';
import { evaSettings } from './evaSettings.js';
import { loraValues } from './loraValues.js';
import { PathPattern } from './pathPattern.js';
import { loraSettings } from './settings.js';
import { checkTokenIndices } from './trainedTokens.js';
import type { NamedVariant } from './variant.js';

/** Checked settings of EVA. */
export type EvaConfig = ParsedOptions<typeof evaSettings>;

/**
 * What `loraConfig` leaves to those who use a configuration: what goes with what, that every pattern can be read, and
 * the settings within others. patch's `addAdapter` calls it, and so does whatever reads configurations from files.
 *
 * @returns the configuration, with EVA's settings filled in where it begins so
 * @throws LowrankError `lora.config`
 */
export function checkLoraConfig(config: LoraConfig): LoraConfig {
  checkRules(loraSettings, config);
  checkTokenIndices(config.trainableTokenIndices);
  if (config.variant !== undefined) checkVariant(config.variant);
  checkPatterns(config);
  if (config.eva === undefined && config.init !== 'eva') return config;
  return { ...config, eva: evaConfig(config.eva) };
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
    code: loraValues.code,
    what: (name) => `${loraValues.subject} ${name(setting)}`,
    expected,
    got,
    setting,
  });
}
