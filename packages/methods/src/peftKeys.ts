import type { KeyTable } from '@lowrank/settings';
import { eachKey, followed, ignored, refused } from '@lowrank/settings';

/**
 * Keys of adapter_config.json that every method of PEFT has.
 *
 * @public for the table of docs/folders.md
 */
export const sharedPeftKeys: KeyTable = {
  peft_type: followed('the method'),
  base_model_name_or_path: followed('kept, and written again'),
  ...eachKey(
    ['task_type', 'revision', 'auto_mapping', 'inference_mode', 'peft_version'],
    ignored('a record of how the file came to be'),
  ),
  modules_to_save: refused('other than null or empty'),
};

/** Of methods with virtual tokens. */
export const virtualKeys: KeyTable = {
  num_virtual_tokens: followed('how many there are'),
  num_transformer_submodules: refused('other than 1: Lowrank has decoders alone'),
  ...eachKey(['token_dim', 'num_layers', 'num_attention_heads'], ignored('the model and the tensors say so')),
};
