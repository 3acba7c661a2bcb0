import type { RotaryOptions, RotaryScaling } from '@lowrank/nn';
import type { ConfigReader } from './config.js';

export interface RotaryDefaults {
  /** The head's size: what is turned of it says `partial_rotary_factor`. */
  readonly headSize: number;
  readonly maxPositions: number;
  readonly theta?: number;
  /** Where θ is if not among the parameters; by default `rope_theta`, null for nowhere. */
  readonly thetaKey?: string | null;
  /**
   * Where `original_max_position_embeddings` is: next to the parameters, else among them (by default); among them
   * alone;
   * or next to them alone, with what the config class has where it is left out.
   */
  readonly originalPositions?: 'parameters' | number;
  /** The scalings that the family has; by default all without lists of factors. */
  readonly scalings?: readonly RotaryScaling['type'][];
  /** The family's code in transformers turns a part of the head where `partial_rotary_factor` says so. */
  readonly partial?: boolean;
  /** That part where the config does not say, and the key of it if not among the parameters. */
  readonly share?: number;
  readonly shareKey?: string;
  /** The parameters are of one kind of layer. */
  readonly byLayer?: boolean;
  /** Where the parameters are, if not under the usual keys; undefined for none. */
  readonly parameters?: ConfigReader | undefined;
}

/** Every family has these in transformers; longrope's lists are for Phi. */
const usualScalings = ['linear', 'dynamic', 'llama3', 'yarn'] as const;

/**
 * How positions turn queries and keys. Both spellings: `rope_theta` and `partial_rotary_factor` with `rope_scaling`
 * (transformers 4), and `rope_parameters` with all of it (transformers 5).
 */
export function rotaryOptions(config: ConfigReader, defaults: RotaryDefaults): RotaryOptions {
  const { headSize, scalings = usualScalings } = defaults;
  const parameters = 'parameters' in defaults ? defaults.parameters : rotaryParameters(config);
  const number = (key: string, fallback: number, above: string | null = key): number => {
    if (parameters?.has(key) === true) return parameters.number(key);
    return above === null ? fallback : config.number(above, fallback);
  };
  const share = number('partial_rotary_factor', defaults.share ?? 1, defaults.shareKey);
  if (share !== 1 && defaults.partial !== true) config.refuse('partial_rotary_factor', '1');
  if (share <= 0 || share > 1) config.fail('partial_rotary_factor', 'a share above 0, at most 1', share);
  const size = Math.floor(headSize * share);
  if (size % 2 !== 0) config.fail('partial_rotary_factor', 'an even number of elements to turn', size);
  const base = {
    size,
    theta: number('rope_theta', defaults.theta ?? 10_000, defaults.thetaKey),
    maxPositions: defaults.maxPositions,
  };
  if (parameters === undefined) return base;
  const typeKey = parameters.has('rope_type') ? 'rope_type' : 'type';
  const type = parameters.oneOf(
    typeKey,
    ['default', ...scalings, ...(scalings.includes('longrope') ? (['su', 'yarn'] as const) : [])],
    'default',
  );
  if (type === 'default') return base;
  // Phi-3's first configs called longrope so.
  const read = scalingReaders[scalings.includes('longrope') ? 'longrope' : (type as RotaryScaling['type'])];
  const original = originalPositions(config, parameters, defaults);
  const scaling = read({ parameters, base, originalPositions: original, byLayer: defaults.byLayer === true });
  return { ...base, scaling, maxPositions: reachOf(scaling, base.maxPositions) };
}

/** transformers takes the older key first, where both are there, unless it is empty. */
function rotaryParameters(config: ConfigReader): ConfigReader | undefined {
  const older = config.object('rope_scaling');
  return older === undefined || older.isEmpty ? config.object('rope_parameters') : older;
}

function originalPositions(
  config: ConfigReader,
  parameters: ConfigReader,
  { originalPositions: where, maxPositions }: RotaryDefaults,
): number {
  const key = 'original_max_position_embeddings';
  if (typeof where === 'number') return config.integer(key, where);
  return (where !== 'parameters' && config.has(key) ? config : parameters).integer(key, maxPositions);
}

/** Of the layers that see all, and of those with a window. */
export interface RotaryByLayerType {
  readonly full: RotaryOptions;
  readonly sliding: RotaryOptions;
}

/**
 * transformers 5 has `rope_parameters` of each kind of layer; in 4 `rope_scaling` is for the layers that see all, and
 * it
 * overrules theirs where both are there. Parameters that are not sorted by kind of layer transformers 5 leaves aside,
 * and takes its defaults.
 */
export function rotaryByLayerType(
  config: ConfigReader,
  { full, sliding }: { full: RotaryDefaults; sliding: RotaryDefaults },
): RotaryByLayerType {
  const nested = config.object('rope_parameters');
  // Without `rope_parameters` the type is there already, as "default", and `type`, its older name, is not looked at.
  const under = nested === undefined ? { rope_type: 'default' } : nested.raw('full_attention');
  const scaling = config.object('rope_scaling');
  const ofLayer = { byLayer: true, originalPositions: 'parameters' } as const;
  return {
    full: rotaryOptions(config, {
      ...full,
      ...ofLayer,
      parameters: scaling === undefined ? nested?.object('full_attention') : scaling.over(under),
    }),
    sliding: rotaryOptions(config, { ...sliding, ...ofLayer, parameters: nested?.object('sliding_attention') }),
  };
}

/** What a scaling is read from. */
interface ScalingSource {
  /** The scaling's own keys, within config. */
  readonly parameters: ConfigReader;
  readonly base: RotaryOptions;
  readonly originalPositions: number;
  /** The parameters are of one kind of layer. */
  readonly byLayer: boolean;
}

type ScalingOf<Type extends RotaryScaling['type']> = Extract<RotaryScaling, { type: Type }>;

const scalingReaders: { readonly [Type in RotaryScaling['type']]: (source: ScalingSource) => ScalingOf<Type> } = {
  linear: ({ parameters }) => ({ type: 'linear', factor: parameters.number('factor') }),
  dynamic: ({ parameters, base }) => ({
    type: 'dynamic',
    factor: parameters.number('factor'),
    nativePositions: base.maxPositions,
  }),
  llama3: (source) => ({
    type: 'llama3',
    factor: source.parameters.number('factor'),
    lowFrequencyFactor: source.parameters.number('low_freq_factor'),
    highFrequencyFactor: source.parameters.number('high_freq_factor'),
    originalMaxPositions: source.originalPositions,
  }),
  yarn(source) {
    const { parameters } = source;
    const { factor, original } = stretch(source);
    return {
      type: 'yarn',
      factor,
      originalMaxPositions: original,
      attentionFactor: parameters.optionalNumber('attention_factor') ?? yarnAttention(factor, parameters),
      betaFast: parameters.number('beta_fast', 32) || 32,
      betaSlow: parameters.number('beta_slow', 1) || 1,
      // transformers looks for it where parameters of all layers would have it.
      truncate: source.byLayer || parameters.boolean('truncate', true),
    };
  },
  longrope(source) {
    const { parameters, base } = source;
    const { factor, original } = stretch(source);
    const attention = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
    return {
      type: 'longrope',
      shortFactors: pairFactors(parameters, 'short_factor', base.size),
      longFactors: pairFactors(parameters, 'long_factor', base.size),
      originalMaxPositions: original,
      attentionFactor: parameters.optionalNumber('attention_factor') ?? attention,
    };
  },
};

/** How many times as long as its pretraining a model's rows are. */
function stretch(source: ScalingSource): { factor: number; original: number } {
  const { parameters, base, originalPositions: original } = source;
  return { factor: parameters.optionalNumber('factor') ?? base.maxPositions / original, original };
}

/** A list of longrope's: one factor for each pair of a head. */
function pairFactors(parameters: ConfigReader, key: string, size: number): number[] {
  const list = parameters.numbers(key);
  return list.length === size / 2
    ? list
    : parameters.fail(key, `${size / 2} numbers, half of what is turned of a head`, list.length);
}

function yarnAttention(factor: number, parameters: ConfigReader): number {
  const grown = (weight: number): number => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1);
  const [all, one] = [parameters.optionalNumber('mscale_all_dim') ?? 0, parameters.optionalNumber('mscale') ?? 0];
  return all !== 0 && one !== 0 ? grown(one) / grown(all) : grown(1);
}

/** How many positions a model has with a scaling: configs give the native ones for `dynamic` and often for `yarn`. */
function reachOf(scaling: RotaryScaling, maxPositions: number): number {
  if (scaling.type === 'dynamic') return Math.floor(scaling.factor * maxPositions);
  if (scaling.type === 'yarn') return Math.max(maxPositions, Math.floor(scaling.factor * scaling.originalMaxPositions));
  return maxPositions;
}
