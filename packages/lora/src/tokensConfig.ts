import { badAdapterConfig } from './badAdapterConfig.js';
import { checkLoraConfig } from './checkConfig.js';
import type { LoraConfig } from './config.js';
import { loraConfig } from './config.js';
import { tokenLists } from './trainedTokens.js';

type Json = Readonly<Record<string, unknown>>;

/**
 * PEFT's TrainableTokensConfig: token rows alone, without LoRA.
 *
 * @throws LowrankError `lora.adapterConfig` and `lora.config`
 */
export function readTokensConfig(given: Json, file: string): LoraConfig {
  const ids = given['token_indices'];
  if (!isNumbers(ids)) throw badAdapterConfig('token_indices', { file, expected: 'a list of token ids', got: ids });
  const target = given['target_modules'] ?? undefined;
  const names = target === undefined ? [] : [target].flat();
  if (!names.every((name) => typeof name === 'string'))
    throw badAdapterConfig('target_modules', { file, expected: 'a string or a list of strings', got: target });
  const text = (key: string): string | undefined => (typeof given[key] === 'string' ? given[key] : undefined);
  const config = loraConfig({
    targetModules: [],
    peftType: 'TRAINABLE_TOKENS',
    trainableTokenIndices: target === undefined ? ids : Object.fromEntries(names.map((name) => [name, ids])),
    baseModel: text('base_model_name_or_path'),
    revision: text('revision'),
    taskType: text('task_type'),
  });
  return checkLoraConfig(config);
}

/** The same as PEFT writes it. */
export function writeTokensConfig({ baseModel, revision, taskType, trainableTokenIndices = [] }: LoraConfig): Json {
  const lists = tokenLists(trainableTokenIndices);
  const names = lists.flatMap(([name]) => name ?? []);
  return {
    base_model_name_or_path: baseModel ?? null,
    inference_mode: true,
    init_weights: true,
    peft_type: 'TRAINABLE_TOKENS',
    revision: revision ?? null,
    target_modules: names.length === 0 ? null : names.length === 1 ? names[0] : names,
    task_type: taskType ?? 'CAUSAL_LM',
    token_indices: lists[0]?.[1] ?? [],
  };
}

function isNumbers(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((id) => typeof id === 'number');
}
