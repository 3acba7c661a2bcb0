import { LowrankError } from '@lowrank/errors';
import { isSet, refusedSettings } from './adapterKeys.js';
import type { LoraConfig, LoraInit } from './config.js';
import { loraConfig } from './config.js';
import { parseEvaConfig, serializeEvaConfig } from './evaConfig.js';
import type { NamedVariant } from './variant.js';
import type { TokenIndices } from './trainedTokens.js';
import { tokenLists } from './trainedTokens.js';

/**
 * What a file says of the beginning. Only what is a part of W matters to what an adapter computes: PEFT takes it off
 * the base again when it loads the file.
 */
const inits: Readonly<Record<string, LoraInit>> = {
  gaussian: 'gaussian',
  eva: 'eva',
  orthogonal: 'orthogonal',
  olora: 'olora',
  pissa: 'pissa',
};

/** What a file says of a variant of one's own: PEFT refuses it, rather than compute something else. */
const ownPeftType = 'LOWRANK';

/**
 * Reads PEFT's adapter_config.json, or one of a variant among `variants`. Settings that change what an adapter computes
 * and that Lowrank does not have are refused by name; of others that are not read `settingWarnings` tells.
 *
 * @throws LowrankError `lora.adapterConfig` and `lora.config`
 */
export function parseAdapterConfig(
  json: unknown,
  name = 'adapter_config.json',
  variants: readonly NamedVariant[] = [],
): LoraConfig {
  const fail = (key: string, expected: string, got: unknown, remedy?: string): never => {
    throw new LowrankError({
      code: 'lora.adapterConfig',
      what: `${key} in ${name}`,
      expected,
      got: got === undefined ? 'nothing' : JSON.stringify(got),
      remedy,
    });
  };
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    return fail('the content', 'a JSON object', json);
  const given = json as Record<string, unknown>;
  const ownVariant =
    given['lowrank_variant'] === undefined
      ? undefined
      : (variants.find((variant) => variant.name === given['lowrank_variant']) ??
        fail(
          'lowrank_variant',
          variants.length === 0
            ? 'none, or its variant to be given'
            : `one of ${variants.map((variant) => variant.name).join(', ')}`,
          given['lowrank_variant'],
          'Give the variant that it was trained with: readAdapter({ …, variants }).',
        ));
  const tokensAlone = given['peft_type'] === 'TRAINABLE_TOKENS';
  if (!tokensAlone && given['peft_type'] !== (ownVariant === undefined ? 'LORA' : ownPeftType))
    fail('peft_type', '"LORA" or "TRAINABLE_TOKENS"', given['peft_type'], 'Lowrank reads LoRA adapters.');
  for (const [key, remedy] of Object.entries(refusedSettings))
    if (isSet(given[key])) fail(key, 'a setting that Lowrank supports (off)', given[key], remedy);
  const begun = given['init_lora_weights'];
  // Others change the base's weights or the layer's form in ways that cannot be computed again.
  if (typeof begun === 'string' && !Object.hasOwn(inits, begun))
    fail(
      'init_lora_weights',
      'an initialization that leaves the base as it is, or olora or pissa',
      begun,
      'Train or convert the adapter without it.',
    );
  const number = (key: string, fallback: number): number => {
    const value = given[key] ?? fallback;
    return typeof value === 'number' ? value : fail(key, 'a number', value);
  };
  const names = (key: string): readonly string[] | string | undefined => {
    const value = given[key] ?? undefined;
    if (value === undefined || typeof value === 'string') return value;
    return Array.isArray(value) && value.every((item) => typeof item === 'string')
      ? value
      : fail(key, 'a string or a list of strings', value);
  };
  const pattern = (key: string): Record<string, number> => {
    const value = given[key] ?? {};
    const fits =
      typeof value === 'object' && value !== null && Object.values(value).every((item) => typeof item === 'number');
    return fits ? (value as Record<string, number>) : fail(key, 'an object of numbers', value);
  };
  const saved = names('modules_to_save') ?? [];
  if (typeof saved === 'string') fail('modules_to_save', 'a list of names', saved);
  if (tokensAlone) {
    const target = names('target_modules');
    const ids =
      tokens(given['token_indices'], (got) => fail('token_indices', 'a list of token ids', got)) ??
      fail('token_indices', 'a list of token ids', undefined);
    if (!Array.isArray(ids)) fail('token_indices', 'a list of token ids', ids);
    return loraConfig({
      targetModules: [],
      peftType: 'TRAINABLE_TOKENS',
      trainableTokenIndices:
        target === undefined
          ? ids
          : Object.fromEntries([target].flat().map((path) => [path, ids as readonly number[]])),
      ...origin(given),
    });
  }
  const layers = given['layers_to_transform'] ?? undefined;
  const bias = given['bias'] ?? 'none';
  const layersPattern = names('layers_pattern');
  return loraConfig({
    r: number('r', 8),
    alpha: number('lora_alpha', 8),
    dropout: number('lora_dropout', 0),
    targetModules: names('target_modules') ?? fail('target_modules', 'names of modules', undefined),
    excludeModules: names('exclude_modules'),
    layersToTransform:
      layers === undefined
        ? undefined
        : [layers]
            .flat()
            .map((layer) => (typeof layer === 'number' ? layer : fail('layers_to_transform', 'layer numbers', layers))),
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
    ...(bias === 'none'
      ? {}
      : { bias: bias === 'all' || bias === 'lora_only' ? bias : fail('bias', '"none", "all" or "lora_only"', bias) }),
    ...(saved.length === 0 ? {} : { modulesToSave: [saved].flat() }),
    ...(isSet(given['trainable_token_indices'])
      ? {
          trainableTokenIndices: tokens(given['trainable_token_indices'], (got) =>
            fail('trainable_token_indices', 'a list of token ids, or lists by the names of modules', got),
          ),
        }
      : {}),
    ...(given['ensure_weight_tying'] === true ? { ensureWeightTying: true } : {}),
    ...origin(given),
  });
}

function origin(given: Readonly<Record<string, unknown>>): Pick<LoraConfig, 'baseModel' | 'revision' | 'taskType'> {
  const text = (key: string): string | undefined => (typeof given[key] === 'string' ? given[key] : undefined);
  const revision = text('revision');
  return {
    baseModel: text('base_model_name_or_path'),
    taskType: text('task_type'),
    ...(revision === undefined ? {} : { revision }),
  };
}

function tokens(value: unknown, refuse: (got: unknown) => never): TokenIndices | undefined {
  const list = (given: unknown): readonly number[] =>
    Array.isArray(given) && given.every((id) => typeof id === 'number') ? given : refuse(value);
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'object' || Array.isArray(value)) return list(value);
  return Object.fromEntries(Object.entries(value).map(([name, ids]) => [name, list(ids)]));
}

/**
 * PEFT's adapter_config.json: sorted keys, indent 2, ready for inference. The patterns keep their order, since the
 * first key that matches counts.
 */
export function serializeAdapterConfig(config: LoraConfig): string {
  if (config.peftType === 'TRAINABLE_TOKENS') return tokensAlone(config);
  const fields: Record<string, unknown> = {
    alpha_pattern: config.alphaPattern,
    base_model_name_or_path: config.baseModel ?? null,
    bias: config.bias ?? 'none',
    ...(config.ensureWeightTying === true ? { ensure_weight_tying: true } : {}),
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
    modules_to_save: config.modulesToSave ?? null,
    peft_type: config.variant === undefined ? 'LORA' : ownPeftType,
    r: config.r,
    rank_pattern: config.rankPattern,
    revision: config.revision ?? null,
    target_modules: config.targetModules,
    task_type: config.taskType ?? 'CAUSAL_LM',
    ...(config.trainableTokenIndices === undefined ? {} : { trainable_token_indices: config.trainableTokenIndices }),
    use_dora: config.useDora ?? false,
    use_rslora: config.useRslora,
  };
  return `${JSON.stringify(fields, null, 2)}\n`;
}

/** PEFT's TrainableTokensConfig. */
function tokensAlone({ baseModel, revision, taskType, trainableTokenIndices = [] }: LoraConfig): string {
  const lists = tokenLists(trainableTokenIndices);
  const names = lists.flatMap(([name]) => name ?? []);
  const fields = {
    base_model_name_or_path: baseModel ?? null,
    inference_mode: true,
    init_weights: true,
    peft_type: 'TRAINABLE_TOKENS',
    revision: revision ?? null,
    target_modules: names.length === 0 ? null : names.length === 1 ? names[0] : names,
    task_type: taskType ?? 'CAUSAL_LM',
    token_indices: lists[0]?.[1] ?? [],
  };
  return `${JSON.stringify(fields, null, 2)}\n`;
}
