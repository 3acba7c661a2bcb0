import type { SettingTable } from '@lowrank/settings';

/** Keys that are read elsewhere, say where an adapter comes from, or go only with a key that is refused. */
export const knownKeys = {
  peft_type: 'the method: LORA or TRAINABLE_TOKENS',
  token_indices: 'of TRAINABLE_TOKENS: the tokens whose rows are trained',
  init_weights: 'how token rows began',
  lowrank_variant: 'a variant of your own',
  peft_version: 'a record of how the file came to be',
  inference_mode: 'whether PEFT loads it to be trained',
  megatron_core: 'goes with megatron_config',
  qalora_group_size: 'goes with use_qalora',
  merge_weights: 'of PEFT’s first releases: when it merges',
} as const;

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
  knownKeys: Object.keys(knownKeys),
  spentKeys: {
    runtime_config: 'says how PEFT runs',
    loftq_config: 'says how the adapter began',
    eva_config: 'says how the adapter began',
    corda_config: 'says how the adapter began',
    lora_ga_config: 'says how the adapter began',
  },
};
