import { LowrankError } from '@lowrank/errors';
import type { LoraConfig } from '@lowrank/lora';
import { LoraEmbedding, PathPattern } from '@lowrank/lora';
import type { LinearLike, Module } from '@lowrank/nn';
import { Embedding, isLinearLike } from '@lowrank/nn';
import { tableInCodes } from './tableInCodes.js';

/** What adapters go around: a linear layer of any kind, an embedding, or one of them that has adapters already. */
export type Adaptable = LinearLike | Embedding | LoraEmbedding;

type Targets = Pick<
  LoraConfig,
  'targetModules' | 'excludeModules' | 'layersToTransform' | 'layersPattern' | 'modulesToSave'
>;

/**
 * The linear layers and embeddings that a configuration names, by path, with PEFT's rules
 * (`check_target_module_exists`): a string is a regular expression that matches the whole path; an item of a list
 * matches the path itself or its end after a dot; excludes are looked at first, with the same rules, and modules that
 * are saved whole; `layersToTransform` keeps, of what matched by its end, the layers of those numbers; 'all-linear' is
 * every linear layer but the model's output projection (`model.outputPath`), and no embedding.
 *
 * Stricter than PEFT: a name in a list that matches no module at all is an error, since what it was meant for would
 * stay untrained.
 *
 * @throws LowrankError `patch.noTargets` when nothing matches, or a name does not; `patch.notLinear` when something
 * else than a linear layer or an embedding does
 */
export function matchTargets(model: Module, targets: Targets): Map<string, Adaptable> {
  const { targetModules } = targets;
  const { matched, paths, linear } = match(model, targets);
  const unmatched =
    typeof targetModules === 'string' ? [] : targetModules.filter((name) => !paths.some((path) => endsIn(path, name)));
  if (matched.size > 0 && unmatched.length === 0) return matched;
  throw new LowrankError({
    code: 'patch.noTargets',
    what: `target modules ${show(unmatched.length > 0 ? unmatched : targetModules)}`,
    expected:
      'some linear layer to match, such as ' +
      `${endings(linear).join(', ') || 'none: the model has no linear layers'}`,
    got: unmatched.length > 0 ? 'no match' : `no match${outside(targets)}`,
    remedy: "Name layers of this model, or use 'all-linear'.",
  });
}

/**
 * The same for an adapter that is there already: what counts is that its matrices fit, not how its configuration names
 * them.
 */
export function matchLoaded(model: Module, targets: Targets): Map<string, Adaptable> {
  return match(model, targets).matched;
}

/** The shortest list of names that matches these layers and no other: their last names if they do, else their paths. */
export function namesOf(model: Module, paths: readonly string[]): string[] {
  const short = [...new Set(paths.map((path) => path.slice(path.lastIndexOf('.') + 1)))].sort();
  return matchLoaded(model, { targetModules: short }).size === paths.length ? short : [...paths].sort();
}

function match(
  model: Module,
  targets: Targets,
): { matched: Map<string, Adaptable>; paths: string[]; linear: string[] } {
  // What lies inside an adapted layer is its business.
  const modules = [...model.namedModules()].filter(([path]) => !/(^|\.)base_layer(\.|$)/.test(path));
  const matched = new Map<string, Adaptable>();
  const others: string[] = [];
  for (const [path, module] of modules) {
    if (
      targets.targetModules.toString().toLowerCase() === 'all-linear'
        ? path === model.outputPath || !isLinear(module) || isExcluded(path, targets)
        : !isTarget(path, targets)
    )
      continue;
    if (isLinear(module) || isEmbedding(module)) matched.set(path, module);
    else others.push(path);
  }
  const codes = others.find((path) => 'matrix' in model.getModule(path));
  if (codes !== undefined) throw tableInCodes(codes, 'an adapter');
  if (others.length > 0) {
    throw new LowrankError({
      code: 'patch.notLinear',
      what: `target modules ${show(targets.targetModules)}`,
      expected: 'only linear layers and embeddings',
      got: `a match with ${others.slice(0, 4).join(', ')}`,
      remedy: 'Name the layers within: a whole block takes no adapter.',
    });
  }
  return {
    matched,
    paths: modules.map(([path]) => path),
    linear: modules.flatMap(([path, module]) => (isLinear(module) && !isExcluded(path, targets) ? [path] : [])),
  };
}

function isEmbedding(module: Module): module is Embedding | LoraEmbedding {
  return module instanceof Embedding || module instanceof LoraEmbedding;
}

function isLinear(module: Module): module is LinearLike {
  return isLinearLike(module) && !isEmbedding(module);
}

/** A module that is trained whole takes no adapter, and neither does anything within it. */
function isExcluded(path: string, { excludeModules, modulesToSave = [] }: Targets): boolean {
  if (modulesToSave.some((name) => PathPattern.of(name, 'inside').matches(path))) return true;
  return excludeModules !== undefined && matches(path, excludeModules);
}

/** What may have kept a match from counting. */
function outside({ excludeModules, modulesToSave = [] }: Targets): string {
  const reasons = [
    ...(excludeModules === undefined ? [] : ['excluded']),
    ...(modulesToSave.length === 0 ? [] : [`trained whole (${modulesToSave.join(', ')})`]),
  ];
  return reasons.length === 0 ? '' : ` that is not ${reasons.join(' or ')}`;
}

function isTarget(path: string, targets: Targets): boolean {
  const { targetModules, layersToTransform = [], layersPattern } = targets;
  if (isExcluded(path, targets) || !matches(path, targetModules)) return false;
  if (layersToTransform.length === 0 || targetModules.includes(path)) return true;
  const layer = layerNumber(path, layersPattern);
  return layer !== undefined && layersToTransform.includes(layer);
}

function matches(path: string, names: readonly string[] | string): boolean {
  return typeof names === 'string'
    ? PathPattern.of(names, 'whole').matches(path)
    : names.some((name) => endsIn(path, name));
}

function endsIn(path: string, name: string): boolean {
  return path === name || path.endsWith(`.${name}`);
}

/**
 * PEFT: the first number after '.<name>.', whatever the name, or after the first of the given patterns that is there.
 */
export function layerNumber(path: string, patterns: readonly string[] | undefined): number | undefined {
  if (patterns === undefined || patterns.length === 0) {
    const digits = /^.*?\.[^.]*\.(\d+)\./.exec(path)?.[1];
    return digits === undefined ? undefined : Number(digits);
  }
  for (const pattern of patterns) {
    const digits = PathPattern.of(pattern, 'layer').group(path, 'idx');
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
