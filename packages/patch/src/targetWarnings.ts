import type { LoraConfig } from '@lowrank/lora';
import { PathPattern } from '@lowrank/lora';
import type { Module } from '@lowrank/nn';
import { layerNumber, matchLoaded } from './targets.js';

/**
 * What of a configuration matches nothing, as sentences: PEFT warns of patterns for ranks and alphas, and of excluded
 * modules; layers that the model does not have would be left out without a word.
 */
export function targetWarnings(model: Module, config: LoraConfig): string[] {
  const { excludeModules, layersPattern, layersToTransform = [], rankPattern, alphaPattern } = config;
  if (config.targetModules.length === 0) return [];
  const paths = [...matchLoaded(model, config).keys()];
  const unmatched = (patterns: Readonly<Record<string, number>>): string[] =>
    Object.keys(patterns).filter((pattern) => !paths.some((path) => PathPattern.of(pattern, 'end').matches(path)));
  const all =
    excludeModules === undefined ? paths.length : matchLoaded(model, { ...config, excludeModules: undefined }).size;
  const numbers = new Set(layersToTransform.length === 0 ? [] : paths.map((path) => layerNumber(path, layersPattern)));
  return [
    ...warning('rank_pattern', unmatched(rankPattern)),
    ...warning('alpha_pattern', unmatched(alphaPattern)),
    ...warning('exclude_modules', all > paths.length ? [] : [excludeModules ?? []].flat()),
    ...warning('layers_to_transform', layersToTransform.filter((layer) => !numbers.has(layer)).map(String)),
  ];
}

function warning(key: string, names: readonly string[]): string[] {
  if (names.length === 0) return [];
  const shown = names.slice(0, 8).join(', ');
  return [
    `${key}: ${names.length > 8 ? `${shown}, …` : shown} matches no layer that gets an adapter, and changes nothing`,
  ];
}
