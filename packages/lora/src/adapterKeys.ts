/**
 * Settings of PEFT that change what an adapter computes and that Lowrank does not have, with what to do about each:
 * refused by name, never ignored.
 */
export const refusedSettings: Readonly<Record<string, string>> = {
  layer_replication: 'Save the model with its layers repeated, and an adapter of that.',
  target_parameters: 'Train the adapter over modules (target_modules).',
  megatron_config: 'Save the adapter out of Megatron, for plain linear layers.',
  alora_invocation_tokens: 'Train it as plain LoRA, without invocation tokens.',
  use_qalora: 'Train it without QALoRA.',
  arrow_config: 'Use its adapters one by one, or combine them.',
  use_bdlora: 'Convert it to plain LoRA with PEFT.',
  kasa_config: 'Convert it to plain LoRA with PEFT.',
  velora_config: 'Train it without VeLoRA.',
  monteclora_config: 'Train it without MonteCLoRA.',
  // Of PEFT's first releases: LoRA on some parts of a merged projection alone.
  enable_lora: 'Train it anew with a recent PEFT.',
};

/** Settings that are read. */
const readSettings = new Set([
  'peft_type',
  'r',
  'lora_alpha',
  'lora_dropout',
  'target_modules',
  'exclude_modules',
  'layers_to_transform',
  'layers_pattern',
  'rank_pattern',
  'alpha_pattern',
  'use_rslora',
  'use_dora',
  'lora_bias',
  'bias',
  'init_lora_weights',
  'fan_in_fan_out',
  'modules_to_save',
  'trainable_token_indices',
  'ensure_weight_tying',
  'base_model_name_or_path',
  'revision',
  'task_type',
  'token_indices',
  'init_weights',
  'lowrank_variant',
]);

/** Settings that say where an adapter comes from, or only go with one that is refused: nothing follows from them. */
const silentSettings = new Set([
  'peft_version',
  'auto_mapping',
  'inference_mode',
  'megatron_core',
  'qalora_group_size',
  'merge_weights',
]);

/** Settings that are over once an adapter is trained. */
const spentSettings: Readonly<Record<string, string>> = {
  runtime_config: 'says how PEFT is to run',
  loftq_config: 'says how the adapter began',
  eva_config: 'says how the adapter began',
  corda_config: 'says how the adapter began',
  lora_ga_config: 'says how the adapter began',
};

/** Whether a setting says anything: not where it is null, false or empty. */
export function isSet(value: unknown): boolean {
  return (
    value !== undefined &&
    value !== null &&
    value !== false &&
    value !== '' &&
    !(Array.isArray(value) && value.length === 0) &&
    !(typeof value === 'object' && Object.values(value).every((item) => !isSet(item)))
  );
}

/**
 * What of an adapter_config.json is left aside, as sentences: settings that are set, and that Lowrank has no use for or
 * has never heard of.
 */
export function settingWarnings(given: Readonly<Record<string, unknown>>, name: string): string[] {
  return Object.entries(given).flatMap(([key, value]) => {
    // Read along with the init that it belongs to.
    if (key === 'eva_config' && given['init_lora_weights'] === 'eva') return [];
    if (!isSet(value) || readSettings.has(key) || silentSettings.has(key) || Object.hasOwn(refusedSettings, key))
      return [];
    const reason = Object.hasOwn(spentSettings, key) ? spentSettings[key] : undefined;
    const shown = JSON.stringify(value);
    const setting = `${key} = ${shown.length > 80 ? `${shown.slice(0, 80)}…` : shown}`;
    return [
      `${name}: ${setting} is ignored: ` +
        `${reason === undefined ? 'Lowrank does not know it. If it changes what the adapter computes, results will differ' : `it ${reason}, and nothing follows from it`}.`,
    ];
  });
}
