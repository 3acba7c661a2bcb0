import { LowrankError } from '@lowrank/errors';
import type { LoraConfig, LoraInit } from './config.js';
import { loraConfig } from './config.js';
import { parseEvaConfig, serializeEvaConfig } from './evaConfig.js';
import type { NamedVariant } from './variant.js';

/** What a file says of the beginning. Only what is a part of W matters to what an adapter computes: PEFT takes it off the base again when it loads the file. */
const inits: Readonly<Record<string, LoraInit>> = { gaussian: 'gaussian', eva: 'eva', orthogonal: 'orthogonal', olora: 'olora', pissa: 'pissa' };

/** Settings of PEFT that change what an adapter computes and that Lowrank does not do yet: refused by name, never ignored. */
const unsupported: Readonly<Record<string, (value: unknown) => boolean>> = {
  modules_to_save: isSet,
  trainable_token_indices: isSet,
  layer_replication: isSet,
  megatron_config: isSet,
  alora_invocation_tokens: isSet,
  target_parameters: isSet,
  use_qalora: isSet,
  arrow_config: isSet,
  use_bdlora: isSet,
  kasa_config: isSet,
  velora_config: isSet,
  monteclora_config: isSet,
  // Others change the base's weights or the layer's form in ways that cannot be computed again.
  init_lora_weights: (value) => typeof value === 'string' && !Object.hasOwn(inits, value),
};

/** What a file says of a variant of one's own: PEFT refuses it, rather than compute something else. */
const ownPeftType = 'LOWRANK';

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null && value !== false && !(Array.isArray(value) && value.length === 0) && !(typeof value === 'object' && Object.keys(value).length === 0);
}

/**
 * Reads PEFT's adapter_config.json, or one of a variant among `variants`. Unknown keys are ignored, as PEFT does; settings that Lowrank knows but cannot do are refused by name.
 *
 * @throws LowrankError `lora.adapterConfig` and `lora.config`
 */
export function parseAdapterConfig(json: unknown, name = 'adapter_config.json', variants: readonly NamedVariant[] = []): LoraConfig {
  const fail = (key: string, expected: string, got: unknown, remedy?: string): never => {
    throw new LowrankError({ code: 'lora.adapterConfig', what: `${key} in ${name}`, expected, got: got === undefined ? 'nothing' : JSON.stringify(got), remedy });
  };
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return fail('the content', 'a JSON object', json);
  const given = json as Record<string, unknown>;
  const ownVariant = given['lowrank_variant'] === undefined ? undefined : (variants.find((variant) => variant.name === given['lowrank_variant']) ?? fail('lowrank_variant', variants.length === 0 ? 'none, or its variant to be given' : `one of ${variants.map((variant) => variant.name).join(', ')}`, given['lowrank_variant'], 'Give the variant that it was trained with: readAdapter({ …, variants }).'));
  if (given['peft_type'] !== (ownVariant === undefined ? 'LORA' : ownPeftType)) fail('peft_type', '"LORA"', given['peft_type'], 'Lowrank reads LoRA adapters.');
  for (const [key, on] of Object.entries(unsupported)) {
    if (on(given[key])) fail(key, key === 'init_lora_weights' ? 'an initialization that leaves the base as it is, or olora or pissa' : 'a setting that Lowrank supports (off)', given[key], 'Train or convert the adapter without it.');
  }
  const number = (key: string, fallback: number): number => {
    const value = given[key] ?? fallback;
    return typeof value === 'number' ? value : fail(key, 'a number', value);
  };
  const names = (key: string): readonly string[] | string | undefined => {
    const value = given[key] ?? undefined;
    if (value === undefined || typeof value === 'string') return value;
    return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : fail(key, 'a string or a list of strings', value);
  };
  const pattern = (key: string): Record<string, number> => {
    const value = given[key] ?? {};
    const fits = typeof value === 'object' && value !== null && Object.values(value).every((item) => typeof item === 'number');
    return fits ? (value as Record<string, number>) : fail(key, 'an object of numbers', value);
  };
  const layers = given['layers_to_transform'] ?? undefined;
  const bias = given['bias'] ?? 'none';
  const layersPattern = names('layers_pattern');
  return loraConfig({
    r: number('r', 8),
    alpha: number('lora_alpha', 8),
    dropout: number('lora_dropout', 0),
    targetModules: names('target_modules') ?? fail('target_modules', 'names of modules', undefined),
    excludeModules: names('exclude_modules'),
    layersToTransform: layers === undefined ? undefined : [layers].flat().map((layer) => (typeof layer === 'number' ? layer : fail('layers_to_transform', 'layer numbers', layers))),
    layersPattern: typeof layersPattern === 'string' ? [layersPattern] : layersPattern,
    useRslora: given['use_rslora'] === true,
    rankPattern: pattern('rank_pattern'),
    alphaPattern: pattern('alpha_pattern'),
    fanInFanOut: given['fan_in_fan_out'] === true,
    init: inits[String(given['init_lora_weights'])] ?? 'kaiming',
    ...(given['init_lora_weights'] === 'eva' ? { eva: parseEvaConfig(given['eva_config']) } : {}),
    ...(ownVariant === undefined ? {} : { variant: ownVariant }),
    ...(given['use_dora'] === true ? { useDora: true } : {}),
    ...(given['lora_bias'] === true ? { loraBias: true } : {}),
    ...(bias === 'none' ? {} : { bias: bias === 'all' || bias === 'lora_only' ? bias : fail('bias', '"none", "all" or "lora_only"', bias) }),
    baseModel: typeof given['base_model_name_or_path'] === 'string' ? given['base_model_name_or_path'] : undefined,
    taskType: typeof given['task_type'] === 'string' ? given['task_type'] : undefined,
  });
}

/** PEFT's adapter_config.json: sorted keys, indent 2, ready for inference. The patterns keep their order, since the first key that matches counts. */
export function serializeAdapterConfig(config: LoraConfig): string {
  const fields: Record<string, unknown> = {
    alpha_pattern: config.alphaPattern,
    base_model_name_or_path: config.baseModel ?? null,
    bias: config.bias ?? 'none',
    // Older versions of PEFT do not know these keys.
    ...(config.eva === undefined ? {} : { eva_config: serializeEvaConfig(config.eva) }),
    ...(config.excludeModules === undefined ? {} : { exclude_modules: config.excludeModules }),
    fan_in_fan_out: config.fanInFanOut ?? false,
    inference_mode: true,
    init_lora_weights: config.init === 'kaiming' || config.init === 'loftq' ? true : config.init,
    layers_pattern: config.layersPattern ?? null,
    layers_to_transform: config.layersToTransform ?? null,
    lora_alpha: config.alpha,
    ...(config.loraBias === true ? { lora_bias: true } : {}),
    lora_dropout: config.dropout,
    ...(config.variant === undefined ? {} : { lowrank_variant: config.variant.name }),
    modules_to_save: null,
    peft_type: config.variant === undefined ? 'LORA' : ownPeftType,
    r: config.r,
    rank_pattern: config.rankPattern,
    revision: null,
    target_modules: config.targetModules,
    task_type: config.taskType ?? 'CAUSAL_LM',
    use_dora: config.useDora ?? false,
    use_rslora: config.useRslora,
  };
  return `${JSON.stringify(fields, null, 2)}\n`;
}
