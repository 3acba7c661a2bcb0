import { LowrankError } from '@lowrank/errors';
import type { LoraConfig } from '@lowrank/lora';
import type { LinearLike, Module } from '@lowrank/nn';
import { isLinearLike } from '@lowrank/nn';

export interface TargetOptions {
  /** The path of the output embedding, which 'all-linear' leaves out. */
  readonly outputPath?: string;
}

type Targets = Pick<LoraConfig, 'targetModules' | 'excludeModules' | 'layersToTransform' | 'layersPattern'>;

/**
 * The linear layers that a configuration names, by path, with PEFT's rules: a string is a regular expression that matches the whole path; an item of a list matches the path itself or
 * its end after a dot; excludes are looked at first, with the same rules; `layersToTransform` keeps the layers of those numbers; 'all-linear' is every linear layer but the
 * output embedding.
 *
 * @throws LowrankError `patch.noTargets` when nothing matches
 */
export function matchTargets(model: Module, targets: Targets, { outputPath = 'lm_head' }: TargetOptions = {}): Map<string, LinearLike> {
  const matched = new Map<string, LinearLike>();
  const candidates: string[] = [];
  for (const [path, module] of model.namedModules()) {
    // What lies inside an adapted layer is its business.
    if (!isLinearLike(module) || path.endsWith('.base_layer')) continue;
    candidates.push(path);
    if (isTarget(path, targets, outputPath)) matched.set(path, module);
  }
  if (matched.size > 0) return matched;
  throw new LowrankError({
    code: 'patch.noTargets',
    what: `target modules ${show(targets.targetModules)}`,
    expected: `some linear layer to match, such as ${endings(candidates).join(', ') || 'none: the model has no linear layers'}`,
    got: 'no match',
    remedy: "Name layers of this model, or use 'all-linear'.",
  });
}

function isTarget(path: string, { targetModules, excludeModules, layersToTransform, layersPattern }: Targets, outputPath: string): boolean {
  if (excludeModules !== undefined && matches(path, excludeModules)) return false;
  const named = targetModules === 'all-linear' ? path !== outputPath : matches(path, targetModules);
  if (!named || layersToTransform === undefined) return named;
  const layer = layerNumber(path, layersPattern);
  return layer !== undefined && layersToTransform.includes(layer);
}

function matches(path: string, names: readonly string[] | string): boolean {
  if (typeof names === 'string') return new RegExp(`^(?:${names})$`).test(path);
  return names.some((name) => path === name || path.endsWith(`.${name}`));
}

/** PEFT: the number after the first '.<name>.' (or after one of the given patterns) in the path. */
function layerNumber(path: string, patterns: readonly string[] | undefined): number | undefined {
  const expressions = patterns === undefined || patterns.length === 0 ? ['[^.]*'] : patterns;
  for (const pattern of expressions) {
    const [, digits] = new RegExp(`^.*?\\.${pattern}\\.(\\d+)\\.`).exec(path) ?? [];
    if (digits !== undefined) return Number(digits);
  }
  return undefined;
}

function endings(paths: readonly string[]): string[] {
  return [...new Set(paths.map((path) => path.slice(path.lastIndexOf('.') + 1)))];
}

function show(names: readonly string[] | string): string {
  return typeof names === 'string' ? `'${names}'` : names.join(', ');
}
