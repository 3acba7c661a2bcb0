import { LowrankError } from '@lowrank/errors';

/** Settings of EVA: PEFT's EvaConfig, under its names in camel case. */
export interface EvaConfig {
  /** A layer gets at most rho times its rank; 1 leaves the ranks as they are. Default 2. */
  readonly rho: number;
  /**
   * When PEFT's approximation stops. Kept for the file: here the data are gone through once, and the directions are
   * exact. Default 0.99.
   */
  readonly tau: number;
  /** Count only the tokens that are to be learned. Default true. */
  readonly useLabelMask: boolean;
  /** The label of those that are not. Default −100. */
  readonly labelMaskValue: number;
  /** Divide each direction by the root of its singular value. Default false. */
  readonly whiten: boolean;
  /** Where a rank changes, alpha changes with it, so that the factor on BA stays. Default true. */
  readonly adjustScalingFactors: boolean;
}

/** PEFT's names, in the order of its files. */
const names: Readonly<Record<keyof EvaConfig, string>> = {
  adjustScalingFactors: 'adjust_scaling_factors',
  labelMaskValue: 'label_mask_value',
  rho: 'rho',
  tau: 'tau',
  useLabelMask: 'use_label_mask',
  whiten: 'whiten',
};

/** @throws LowrankError `lora.config` */
export function evaConfig(given: Partial<EvaConfig> = {}): EvaConfig {
  const config: EvaConfig = {
    rho: given.rho ?? 2,
    tau: given.tau ?? 0.99,
    useLabelMask: given.useLabelMask ?? true,
    labelMaskValue: given.labelMaskValue ?? -100,
    whiten: given.whiten ?? false,
    adjustScalingFactors: given.adjustScalingFactors ?? true,
  };
  const { rho, tau, labelMaskValue } = config;
  if (!(rho >= 1 && Number.isFinite(rho))) throw invalid('rho', 'at least 1', rho);
  if (!(tau >= 0 && tau <= 1)) throw invalid('tau', 'from 0 to 1', tau);
  if (!Number.isInteger(labelMaskValue)) throw invalid('labelMaskValue', 'a whole number', labelMaskValue);
  for (const key of ['useLabelMask', 'whiten', 'adjustScalingFactors'] as const)
    if (typeof config[key] !== 'boolean') throw invalid(key, 'true or false', config[key]);
  return config;
}

/** What a file says of it. @throws LowrankError `lora.config` */
export function parseEvaConfig(json: unknown): EvaConfig {
  if (json === undefined || json === null) return evaConfig();
  if (typeof json !== 'object' || Array.isArray(json))
    throw new LowrankError({
      code: 'lora.config',
      what: 'the LoRA setting eva_config',
      expected: 'an object',
      got: JSON.stringify(json),
    });
  const fields = json as Record<string, unknown>;
  return evaConfig(
    Object.fromEntries(
      Object.entries(names).flatMap(([key, name]) => (fields[name] === undefined ? [] : [[key, fields[name]]])),
    ),
  );
}

/** The same as PEFT has it in a file. */
export function serializeEvaConfig(config: EvaConfig): Record<string, unknown> {
  return Object.fromEntries(Object.entries(names).map(([key, name]) => [name, config[key as keyof EvaConfig]]));
}

function invalid(key: keyof EvaConfig, expected: string, got: unknown): LowrankError {
  return new LowrankError({
    code: 'lora.config',
    what: `the LoRA setting eva_config.${names[key]}`,
    expected,
    got: String(got),
  });
}
