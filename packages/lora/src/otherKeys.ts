import type { SettingTable } from '@lowrank/settings';

/** The keys of adapter_config.json that are not Lowrank's settings, and how each is handled. */
export const otherKeys: Pick<SettingTable, 'refusedKeys' | 'knownKeys' | 'spentKeys'> = {
  refusedKeys: {
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
    enable_lora: 'Train it again with a recent PEFT.',
  },
  // Read elsewhere, say where an adapter comes from, or go only with a key that is refused.
  knownKeys: [
    'peft_type',
    'token_indices',
    'init_weights',
    'lowrank_variant',
    'peft_version',
    'auto_mapping',
    'inference_mode',
    'megatron_core',
    'qalora_group_size',
    'merge_weights',
  ],
  spentKeys: {
    runtime_config: 'says how PEFT runs',
    loftq_config: 'says how the adapter began',
    eva_config: 'says how the adapter began',
    corda_config: 'says how the adapter began',
    lora_ga_config: 'says how the adapter began',
  },
};
