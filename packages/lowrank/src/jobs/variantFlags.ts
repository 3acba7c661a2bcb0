import type { LoraConfig, LoraInit } from '@lowrank/lora';

export const biasModes = ['none', 'all', 'lora_only'] as const;

/** What kind of adapter is made, under PEFT's names. */
export interface VariantFlags {
  /** How a new adapter begins; default kaiming. */
  readonly initLoraWeights?: LoraInit;
  readonly useRslora?: boolean;
  readonly useDora?: boolean;
  /** B gets a bias. */
  readonly loraBias?: boolean;
  /** Biases of the base that are trained along. */
  readonly bias?: (typeof biasModes)[number];
  readonly rankPattern?: Readonly<Record<string, number>>;
  readonly alphaPattern?: Readonly<Record<string, number>>;
  readonly excludeModules?: readonly string[];
  readonly layersToTransform?: readonly number[];
  /** A layer gets at most so many times its rank, with the init eva; default 2. */
  readonly evaRho?: number;
  /** Batches of rows that eva looks at; default 32. */
  readonly evaBatches?: number;
  /** Modules that are trained whole: what their paths end in. */
  readonly modulesToSave?: readonly string[];
  /** Tokens whose rows of the embedding are trained: ids, or their text. */
  readonly trainableTokens?: readonly (number | string)[];
  /** An embedding and an output projection that is tied to it are trained whole as one. */
  readonly ensureWeightTying?: boolean;
  /** LoRA+: B learns so many times as fast as A. */
  readonly loraPlusRatio?: number;
}

/** What was given of it, as a configuration has it; tokens apart, which want a tokenizer. */
export function variantSettings({
  useRslora,
  useDora,
  loraBias,
  bias,
  rankPattern,
  alphaPattern,
  excludeModules,
  layersToTransform,
  modulesToSave,
  ensureWeightTying,
}: VariantFlags): Partial<LoraConfig> {
  const given = {
    useRslora,
    useDora,
    loraBias,
    bias,
    rankPattern,
    alphaPattern,
    excludeModules,
    layersToTransform,
    modulesToSave,
    ensureWeightTying,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** The same by the names of the flags. */
export function variantFlags(options: VariantFlags): Readonly<Record<string, unknown>> {
  return {
    '--init-lora-weights': options.initLoraWeights,
    '--use-rslora': options.useRslora,
    '--use-dora': options.useDora,
    '--lora-bias': options.loraBias,
    '--bias': options.bias,
    '--rank-pattern': options.rankPattern,
    '--alpha-pattern': options.alphaPattern,
    '--exclude-modules': options.excludeModules,
    '--layers-to-transform': options.layersToTransform,
    '--eva-rho': options.evaRho,
    '--eva-batches': options.evaBatches,
    '--modules-to-save': options.modulesToSave,
    '--trainable-tokens': options.trainableTokens,
    '--ensure-weight-tying': options.ensureWeightTying,
    '--lora-plus-ratio': options.loraPlusRatio,
  };
}
