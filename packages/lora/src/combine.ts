import { LowrankError, shown } from '@lowrank/errors';
import type { LoraAdapter, LoraMatrices, WholeTensor } from './loraAdapter.js';
import { combineLayer, rules, sizesOf } from './numeric/combineLayer.js';
import type { CombineMethod, CombineSettings, WeightedPart, Rule } from './numeric/combineLayer.js';
import { rankAt, scalingAt } from './scaling.js';
import type { LoraConfig } from './config.js';
import { beginsInBase } from './loraInit.js';
import { exactConfig } from './exactConfig.js';

/** The ways of combining adapters, by PEFT's names for `combination_type`. */
export const combineMethods = Object.keys(rules) as readonly CombineMethod[];

/** An adapter, and how often it counts; negative to take it away. */
export interface WeightedAdapter {
  readonly adapter: LoraAdapter;
  readonly weight: number;
  /** For errors; its number, counted from 1, by default. */
  readonly name?: string | undefined;
}

/** Options of `combineAdapters`. */
export interface CombineOptions extends CombineSettings {
  /** What the result is for; without it the sources have to agree. */
  readonly baseModel?: string | undefined;
}

/**
 * Weighted adapters as one, by the methods of PEFT's `add_weighted_adapter`. The result has a factor of 1 on BA, so
 * alpha = r.
 *
 * With ΔW_i = s_i·B_i·A_i, each layer by its own rank and alpha: `cat` is Σ w_i·ΔW_i exactly, A = [w_i·s_i·A_i], B =
 * [B_i], of rank Σ r_i; `svd` its best approximation of a rank, exact from Σ r_i on. `linear` adds factors, A = Σ
 * ±√|w_i·s_i|·A_i and B = Σ √|w_i·s_i|·B_i (the sign on one side), so that products across sources come in: exact for
 * one source alone. `ties` (Yadav et al. 2023), `dare_linear`, `dare_ties` (Yu et al. 2023) and `magnitude_prune` do so
 * with pruned and elected factors, and their `_svd` forms with the ΔW_i themselves. A layer that some sources do not
 * have is combined from those that do. Biases of B (`lora_bias`) are summed, Σ w_i·s_i·b_i.
 *
 * Where PEFT differs it is wrong: its result inherits `use_rslora` of the first source, and is √r too large then; ranks
 * of `rank_pattern` do not fit; one source alone is never decomposed; biases of B are left out.
 *
 * @throws LowrankError `lora.combine` (settings), `lora.combineBase`, `lora.combineShape`, `lora.combineRank`,
 * `lora.combineVariant` and `lora.combineWhole` (sources that do not go together), `lora.combineNotFinite`
 */
export function combineAdapters(sources: readonly WeightedAdapter[], options: CombineOptions = {}): LoraAdapter {
  const { method = 'cat' } = options;
  checkOptions(options);
  const named = sources.map((source, at) => ({ ...source, name: source.name ?? `adapter ${at + 1}` }));
  const baseModel = checkSources(named, options);
  const paths = new Set(named.flatMap(({ adapter }) => [...adapter.layers.keys()]));
  const loraBias = named.some(({ adapter }) => adapter.config.loraBias === true);
  const layers = new Map<string, LoraMatrices>();
  for (const [at, path] of [...paths].entries()) {
    const parts = named.flatMap(({ adapter, weight, name }) => {
      const matrices = adapter.layers.get(path);
      return matrices === undefined
        ? []
        : [
            {
              matrices,
              weight,
              scaling: scalingAt(adapter.config, path),
              name,
              configured: rankAt(adapter.config, path),
            },
          ];
    });
    checkParts(parts, path, options);
    const combined = combineLayer(parts, { ...options, method, layer: at });
    if (!combined.a.every(Number.isFinite) || !combined.b.every(Number.isFinite))
      throw new LowrankError({
        code: 'lora.combineNotFinite',
        what: `the combined matrices of ${path}`,
        expected: 'finite numbers',
        got: 'NaN or infinity',
        remedy: 'A source is damaged, or a weight is too large.',
      });
    layers.set(path, loraBias ? { ...combined, bias: biasOf(parts, path) } : combined);
  }
  const whole = wholeTensors(named);
  return { config: resultConfig(named, layers, baseModel), layers, ...(whole.size > 0 ? { whole } : {}) };
}

function checkOptions({ method = 'cat', density, majoritySign, rank, seed }: CombineOptions): void {
  const refuse = (what: string, expected: string, got: unknown): never => {
    throw new LowrankError({
      code: 'lora.combine',
      what: `${what} of ${method}`,
      expected,
      got: got === undefined ? 'nothing' : String(got),
    });
  };
  if (!Object.hasOwn(rules, method)) refuse('the combination method', combineMethods.join(', '), method);
  const { on, prune, elect }: Rule = rules[method];
  if (prune !== undefined && !(density !== undefined && density > 0 && density <= 1))
    refuse('the density', 'a number above 0 and of at most 1', density);
  if (prune === undefined && density !== undefined) refuse('the density', 'none: it prunes nothing', density);
  if (elect !== true && majoritySign !== undefined)
    refuse('the majority sign', 'none: it elects no sign', majoritySign);
  if (majoritySign !== undefined && majoritySign !== 'total' && majoritySign !== 'frequency')
    refuse('the majority sign', 'total or frequency', majoritySign);
  if (rank !== undefined && (on === 'cat' || on === 'factors'))
    refuse('the rank', on === 'cat' ? 'none: it is the sum of the ranks' : 'none: it is that of the sources', rank);
  if (rank !== undefined && !(Number.isInteger(rank) && rank >= 1))
    refuse('the rank', 'a whole number of at least 1', rank);
  if (seed !== undefined && !(Number.isSafeInteger(seed) && seed >= 0))
    refuse('the seed', 'a whole number from 0', seed);
}

type Source = WeightedAdapter & { readonly name: string };

/** What the result is for. */
function checkSources(sources: readonly Source[], { baseModel }: CombineOptions): string | undefined {
  if (sources.length === 0)
    throw new LowrankError({
      code: 'lora.combine',
      what: 'adapters to combine',
      expected: 'at least one',
      got: 'none',
    });
  for (const { weight, name } of sources)
    if (!Number.isFinite(weight))
      throw new LowrankError({
        code: 'lora.combine',
        what: `the weight of ${name}`,
        expected: 'a finite number',
        got: String(weight),
      });
  for (const source of sources) checkVariant(source);
  const bases = new Set(sources.flatMap(({ adapter }) => adapter.config.baseModel ?? []));
  if (baseModel === undefined && bases.size > 1) {
    throw new LowrankError({
      code: 'lora.combineBase',
      what: 'adapters to combine',
      expected: 'adapters of one base model',
      got: [...bases].join(' and '),
      remedy: 'If these are the same model under two names, say which name the result gets (baseModel, --base-model).',
    });
  }
  return baseModel ?? [...bases][0];
}

/** B's biases count s times, as BA does, and have no product in them: every method adds them up. */
function biasOf(parts: readonly WeightedPart[], path: string): Float32Array {
  const { outFeatures, embedding } = sizesOf(parts);
  if (embedding === true)
    throw new LowrankError({
      code: 'lora.combineVariant',
      what: path,
      expected: 'a linear layer, as other adapters have lora_bias',
      got: 'an embedding',
      remedy: 'PEFT has no lora_bias for embeddings, so no file could hold both.',
    });
  const bias = new Float64Array(outFeatures);
  for (const { matrices, weight, scaling } of parts)
    for (const [at, value] of (matrices.bias ?? []).entries()) bias[at] = (bias[at] ?? NaN) + weight * scaling * value;
  if (!bias.every((value) => Number.isFinite(Math.fround(value))))
    throw new LowrankError({
      code: 'lora.combineNotFinite',
      what: `the combined bias of ${path}`,
      expected: 'finite numbers',
      got: 'NaN or infinity',
      remedy: 'A source is damaged, or a weight is too large.',
    });
  return Float32Array.from(bias);
}

/** The parts of a configuration and of a layer that combining handles: anything else would silently be lost. */
const knownSettings = new Set([
  'r',
  'alpha',
  'dropout',
  'targetModules',
  'excludeModules',
  'layersToTransform',
  'layersPattern',
  'useRslora',
  'rankPattern',
  'alphaPattern',
  'init',
  'eva',
  'fanInFanOut',
  'baseModel',
  'revision',
  'taskType',
  'autoMapping',
  'loraBias',
]);
const known = new Set(['a', 'b', 'rank', 'inFeatures', 'outFeatures', 'embedding', 'bias']);

function checkVariant({ adapter, name }: Source): void {
  const variant = Object.entries(adapter.config).find(
    ([key, value]) => !knownSettings.has(key) && value !== undefined && value !== false && value !== 'none',
  );
  if (variant !== undefined)
    throw new LowrankError({
      code: 'lora.combineVariant',
      what: `the configuration of ${name}`,
      expected: 'LoRA or rsLoRA',
      got: `${variant[0]} = ${shown(variant[1])}`,
      remedy: 'It changes the model by more than B·A, so it cannot be combined: merge it into the model instead.',
    });
  if (beginsInBase(adapter.config.init))
    throw new LowrankError({
      code: 'lora.combineVariant',
      what: `the configuration of ${name}`,
      expected: 'an adapter of the base model as it is',
      got: `init_lora_weights = '${adapter.config.init}', which takes a part of the base`,
      remedy: 'Load it into its base model and save it (loadAdapter, saveAdapter): that gives plain LoRA.',
    });
}

type ConfiguredPart = WeightedPart & { readonly configured: number };

/** Everything by which the parts of one layer may not add up. */
function checkParts(parts: readonly ConfiguredPart[], path: string, { method = 'cat', rank }: CombineOptions): void {
  const { inFeatures, outFeatures } = sizesOf(parts);
  for (const part of parts) {
    checkOwn(part, path);
    checkLike(part, path, { parts, method });
  }
  if (rank !== undefined && rank > Math.min(inFeatures, outFeatures)) {
    throw new LowrankError({
      code: 'lora.combineRank',
      what: `${path}, [${outFeatures}, ${inFeatures}]`,
      expected: `a rank of at most ${Math.min(inFeatures, outFeatures)}`,
      got: String(rank),
    });
  }
}

/** What can be wrong with one part by itself. */
function checkOwn({ matrices, name, configured }: ConfiguredPart, path: string): void {
  if (matrices.rank !== configured)
    throw new LowrankError({
      code: 'lora.shape',
      what: `${path} of ${name}`,
      expected: `rank ${configured}, as its configuration says`,
      got: `rank ${matrices.rank}`,
      remedy: 'The factor on BA depends on the rank: configuration and weights do not belong together.',
    });
  if (!matrices.a.every(Number.isFinite) || !matrices.b.every(Number.isFinite))
    throw new LowrankError({
      code: 'lora.combineNotFinite',
      what: `${path} of ${name}`,
      expected: 'finite numbers',
      got: 'NaN or infinity',
      remedy: 'The adapter is damaged.',
    });
  const more = Object.entries(matrices).find(([key, value]) => !known.has(key) && value !== undefined);
  if (more !== undefined)
    throw new LowrankError({
      code: 'lora.combineVariant',
      what: `${path} of ${name}`,
      expected: 'only the matrices A and B',
      got: `${more[0]} too`,
      remedy: 'It does not change weights by B·A alone, so it cannot be combined: merge it into the model instead.',
    });
}

/** Every part has the first one's sizes, and its rank where matrices are added place by place. */
function checkLike(
  { matrices, name }: WeightedPart,
  path: string,
  { parts, method }: { readonly parts: readonly WeightedPart[]; readonly method: CombineMethod },
): void {
  const [first] = parts;
  const { inFeatures, outFeatures, embedding = false } = sizesOf(parts);
  const alike =
    matrices.inFeatures === inFeatures &&
    matrices.outFeatures === outFeatures &&
    (matrices.embedding ?? false) === embedding;
  if (!alike) {
    const shape = (each: LoraMatrices): string =>
      `${each.embedding === true ? 'an embedding' : 'a layer'} [${each.outFeatures}, ${each.inFeatures}]`;
    throw new LowrankError({
      code: 'lora.combineShape',
      what: `${path} of ${name}`,
      expected: `${first === undefined ? '' : shape(first.matrices)}, as of ${first?.name}`,
      got: shape(matrices),
      remedy: 'They are for different base models.',
    });
  }
  if (rules[method].on === 'factors' && matrices.rank !== first?.matrices.rank)
    throw new LowrankError({
      code: 'lora.combineRank',
      what: `${path} of ${name}`,
      expected: `rank ${first?.matrices.rank}, as of ${first?.name}: ${method} adds matrices place by place`,
      got: `rank ${matrices.rank}`,
      remedy: `Use cat, svd${method === 'linear' ? '' : ` or ${method}_svd`}.`,
    });
}

/** Tensors saved whole have no sum; the same bytes in several sources are one. */
function wholeTensors(sources: readonly Source[]): Map<string, WholeTensor> {
  const whole = new Map<string, WholeTensor>();
  for (const { adapter, name: source } of sources) {
    for (const [name, tensor] of adapter.whole ?? []) {
      const before = whole.get(name);
      if (before !== undefined && !same(before, tensor))
        throw new LowrankError({
          code: 'lora.combineWhole',
          what: `${name} of ${source}`,
          expected: 'what another adapter has under this name',
          got: 'other values',
          remedy: 'Tensors that are saved whole cannot be combined; leave one of the adapters out.',
        });
      whole.set(name, tensor);
    }
  }
  return whole;
}

function same(one: WholeTensor, other: WholeTensor): boolean {
  return (
    one.dtype === other.dtype &&
    one.shape.join() === other.shape.join() &&
    one.data.every((byte, at) => byte === other.data[at])
  );
}

/**
 * The first source's settings where they still hold, with the targets of all if all have the same, else with the paths.
 */
function resultConfig(
  sources: readonly Source[],
  layers: ReadonlyMap<string, LoraMatrices>,
  baseModel: string | undefined,
): LoraConfig {
  const [first] = sources.map(({ adapter }) => adapter.config);
  const targeting = ({
    targetModules,
    excludeModules,
    layersToTransform,
    layersPattern,
  }: LoraConfig): Pick<LoraConfig, 'targetModules' | 'excludeModules' | 'layersToTransform' | 'layersPattern'> => ({
    targetModules,
    excludeModules,
    layersToTransform,
    layersPattern,
  });
  const alike =
    new Set(sources.map(({ adapter }) => JSON.stringify(targeting(adapter.config)))).size === 1 &&
    sources.every(({ adapter }) => adapter.layers.size === layers.size);
  return exactConfig(layers, 1, {
    dropout: first?.dropout ?? 0,
    // PEFT sets it where it meets a Conv1D: an adapter of the embedding alone does not have it.
    fanInFanOut: sources.some(({ adapter }) => adapter.config.fanInFanOut === true),
    baseModel,
    loraBias: sources.some(({ adapter }) => adapter.config.loraBias === true),
    taskType: sources.flatMap(({ adapter }) => adapter.config.taskType ?? [])[0],
    autoMapping: first?.autoMapping,
    ...(alike && first !== undefined ? targeting(first) : {}),
  });
}
