import { LowrankError } from '@lowrank/errors';
import type { EvaConfig } from './evaConfig.js';
import { evaConfig } from './evaConfig.js';
import type { TokenIndices } from './trainedTokens.js';
import { checkTokenIndices } from './trainedTokens.js';
import type { NamedVariant } from './variant.js';

/**
 * How the A and B of a new adapter are filled: PEFT's `true` (Kaiming-uniform A, zero B), 'gaussian' (A normal with
 * standard deviation 1/r, zero B), 'orthogonal' (both random, BA = 0), 'olora' and 'pissa' (a part of W, which is taken
 * off again elsewhere; pissa_niter_N decomposes W in N randomized steps), 'loftq' (from what a layer's quantization
 * lost; patch's injectLoftq), or 'eva' (from what the layer's inputs vary in; patch's injectEva). A file says `true` of
 * an adapter that began as loftq, as PEFT has it: there is nothing to be done when it is loaded.
 */
export type LoraInit = (typeof loraInits)[number] | `pissa_niter_${number}`;

export const loraInits = ['kaiming', 'gaussian', 'orthogonal', 'olora', 'pissa', 'loftq', 'eva'] as const;

export function isLoraInit(name: string): name is LoraInit {
  return loraInits.some((init) => init === name) || /^pissa_niter_[1-9]\d*$/.test(name);
}

/** Whether A and B begin as a part of W: what they began as is not learned. */
export function beginsInBase(init: LoraInit): boolean {
  return init === 'olora' || init.startsWith('pissa');
}

/**
 * Whether A and B begin from what no layer knows by itself: what quantization lost, or the data. `injectLoftq` and
 * `injectEva` of patch make them.
 */
export function beginsOutside(init: LoraInit): init is 'loftq' | 'eva' {
  return init === 'loftq' || init === 'eva';
}

/** PEFT's LoraConfig, as far as Lowrank goes today, under its names in camel case. */
export interface LoraConfig {
  /** Rank; at least 1. */
  readonly r: number;
  /** The factor on BA is alpha/r, or alpha/√r with `useRslora`. */
  readonly alpha: number;
  /** On the input of A, while training. */
  readonly dropout: number;
  /** A list of names (exact, or the end of a path), a regular expression that matches whole paths, or 'all-linear'. */
  readonly targetModules: readonly string[] | string;
  readonly excludeModules?: readonly string[] | string | undefined;
  readonly layersToTransform?: readonly number[] | undefined;
  readonly layersPattern?: readonly string[] | undefined;
  readonly useRslora: boolean;
  /** Magnitudes apart from directions: DoRA. */
  readonly useDora?: boolean | undefined;
  /** A variant of one's own, in place of PEFT's. */
  readonly variant?: NamedVariant | undefined;
  /** B has a bias too. */
  readonly loraBias?: boolean | undefined;
  /** Biases of the base that are trained along, in place: of the adapted layers, or of all. */
  readonly bias?: 'none' | 'all' | 'lora_only' | undefined;
  /**
   * Ranks of single modules: the first key that is the end of a path, or a regular expression that matches it, counts.
   */
  readonly rankPattern: Readonly<Record<string, number>>;
  readonly alphaPattern: Readonly<Record<string, number>>;
  readonly init: LoraInit;
  /** With the init 'eva'. */
  readonly eva?: EvaConfig | undefined;
  /**
   * The adapted layers hold W as [in, out] (GPT-2's Conv1D), so that a merge transposes ΔW. The layers themselves know;
   * this is what a merge of files goes by.
   */
  readonly fanInFanOut?: boolean | undefined;
  /**
   * Modules that are trained whole, as copies: what a module's path ends in. None of them, nor anything within, is a
   * target.
   */
  readonly modulesToSave?: readonly string[] | undefined;
  /**
   * Tokens whose rows are trained, of the input embedding (and of an output projection that is tied to it), or of the
   * modules named.
   */
  readonly trainableTokenIndices?: TokenIndices | undefined;
  /** An embedding in `modulesToSave` and an output projection that is tied to it stay one. */
  readonly ensureWeightTying?: boolean | undefined;
  /** PEFT's name of the method where it is not LoRA: token rows alone. */
  readonly peftType?: 'TRAINABLE_TOKENS' | undefined;
  readonly baseModel?: string | undefined;
  /** Of the base model. */
  readonly revision?: string | undefined;
  readonly taskType?: string | undefined;
}

/** A checked configuration from what a user gave; alpha defaults to r (a factor of 1). */
export function loraConfig(given: Partial<LoraConfig> & Pick<LoraConfig, 'targetModules'>): LoraConfig {
  const r = given.r ?? 8;
  const config: LoraConfig = {
    dropout: 0,
    useRslora: false,
    rankPattern: {},
    alphaPattern: {},
    init: 'kaiming',
    fanInFanOut: false,
    ...given,
    r,
    alpha: given.alpha ?? r,
    ...(given.init === 'eva' ? { eva: evaConfig(given.eva) } : {}),
  };
  for (const [name, rank] of [
    ['r', config.r] as const,
    ...Object.entries(config.rankPattern).map(([key, value]) => [`rank_pattern[${key}]`, value] as const),
  ]) {
    if (!Number.isInteger(rank) || rank < 1) throw invalid(name, 'a whole number of at least 1', rank);
  }
  for (const [name, alpha] of [
    ['lora_alpha', config.alpha] as const,
    ...Object.entries(config.alphaPattern).map(([key, value]) => [`alpha_pattern[${key}]`, value] as const),
  ]) {
    if (!Number.isFinite(alpha)) throw invalid(name, 'a finite number', alpha);
  }
  if (!(config.dropout >= 0 && config.dropout < 1))
    throw invalid('lora_dropout', 'at least 0 and below 1', config.dropout);
  if (!isLoraInit(config.init))
    throw invalid('init_lora_weights', `${loraInits.join(', ')} or pissa_niter_N`, config.init);
  checkTogether(config);
  if (config.eva !== undefined && config.init !== 'eva')
    throw invalid('eva_config', 'init_lora_weights eva beside it', config.init);
  checkTokenIndices(config.trainableTokenIndices);
  checkTargets(config);
  for (const key of [...Object.keys(config.rankPattern), ...Object.keys(config.alphaPattern)]) pathExpression(key);
  return config;
}

function checkTogether({ init, useDora = false, loraBias = false, bias = 'none', variant }: LoraConfig): void {
  if (!['none', 'all', 'lora_only'].includes(bias)) throw invalid('bias', 'none, all or lora_only', bias);
  if (loraBias && useDora) throw invalid('lora_bias', 'no use_dora beside it', 'both');
  if (loraBias && init !== 'kaiming') throw invalid('lora_bias', 'init_lora_weights true beside it', init);
  // Merging knows what a variant makes of W, and not of a bias.
  if (loraBias && variant !== undefined) throw invalid('lora_bias', 'no variant of one’s own beside it', variant.name);
  if (variant !== undefined) checkVariant(variant, useDora);
  if ((useDora || variant !== undefined) && (beginsInBase(init) || init === 'loftq'))
    throw invalid(
      variant === undefined ? 'use_dora' : `variant ${variant.name}`,
      'init_lora_weights true, gaussian, orthogonal or eva beside it',
      init,
    );
}

function checkVariant({ name, vector }: NamedVariant, useDora: boolean): void {
  if (!/^[A-Za-z][\w.-]*$/.test(name)) throw invalid('variant', 'a name of letters, digits, dots and dashes', name);
  if (useDora) throw invalid(`variant ${name}`, 'no use_dora beside it', 'both');
  // By the prefix files tell what belongs to an adapter.
  if (vector !== undefined && !/^lora_(?!([AB]|embedding_[AB])$)\w+$/.test(vector))
    throw invalid(`variant ${name}`, 'a vector named lora_ and more, but not as A and B are', vector);
}

/** PEFT's own rules for what goes with what. */
function checkTargets({
  targetModules,
  excludeModules,
  layersToTransform,
  layersPattern,
  modulesToSave = [],
  peftType,
}: LoraConfig): void {
  for (const name of modulesToSave) pathExpression(name);
  if (targetModules.length === 0 && peftType === undefined)
    throw invalid('target_modules', "names, a regular expression, or 'all-linear'", 'nothing');
  for (const expression of [targetModules, excludeModules ?? []])
    if (typeof expression === 'string') pathExpression(expression);
  for (const expression of layersPattern ?? []) pathExpression(expression);
  const layers = layersToTransform ?? [];
  const odd = layers.find((layer) => !Number.isInteger(layer) || layer < 0);
  if (odd !== undefined) throw invalid('layers_to_transform', 'layer numbers from 0', odd);
  if (layers.length === 0 && (layersPattern ?? []).length > 0)
    throw invalid('layers_pattern', 'layers_to_transform beside it', 'none');
  if (layers.length > 0 && typeof targetModules === 'string')
    throw invalid('layers_to_transform', 'target_modules as a list of names', `'${targetModules}'`);
}

/**
 * A regular expression of a configuration, written for Python, that is to match a module path from its beginning to its
 * end.
 *
 * @param before what may stand before it in the path
 * @throws LowrankError `lora.config` where it is none
 */
export function pathExpression(expression: string, before = ''): RegExp {
  try {
    return new RegExp(`^${before}(?:${expression.replaceAll('(?P<', '(?<')})$`);
  } catch (cause) {
    throw new LowrankError({
      code: 'lora.config',
      what: `the module pattern ${JSON.stringify(expression)}`,
      expected: 'a regular expression',
      got: cause instanceof Error ? cause.message : String(cause),
      cause,
    });
  }
}

function invalid(name: string, expected: string, got: unknown): LowrankError {
  return new LowrankError({ code: 'lora.config', what: `the LoRA setting ${name}`, expected, got: String(got) });
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

/** PEFT's rule: the first key, in order, that matches the end of the path as a regular expression. */
function patternValue(pattern: Readonly<Record<string, number>>, path: string): number | undefined {
  return Object.entries(pattern).find(([key]) => pathExpression(key, '(?:.*\\.)?').test(path))?.[1];
}
