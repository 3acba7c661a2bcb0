import type { KeyTable, KeyUse } from '@lowrank/settings';
import { usualDropouts } from './dropouts.js';
import type { FamilyFacts } from './familyFacts.js';
import { eachKey, followed, ignored, refused } from '@lowrank/settings';

/** A dropout of the base, which transformers applies while it trains. */
export const dropoutKey: KeyUse = refused('above 0: not applied to the base, of which training warns');

const numbers = followed('what it does in transformers');
const record = ignored('a record of how the file came to be');
const ofCall = ignored('a setting of calls, or of memory');
const ofOthers = ignored('of other tasks than writing text');

/** What every family reads. */
export const modelKeys: KeyTable = {
  model_type: followed('the family'),
  vocab_size: numbers,
  tie_word_embeddings: followed('unless the file holds an output projection of its own, as in transformers'),
  bos_token_id: followed('where the tokenizer has none'),
  eos_token_id: followed('ends a text, like those of the tokenizer and of generation_config.json'),
};

/** What the decoders of most families share: `transformerConfig` reads it. */
export const decoderKeys: KeyTable = {
  ...modelKeys,
  ...eachKey(
    [
      'hidden_size',
      'intermediate_size',
      'num_hidden_layers',
      'num_attention_heads',
      'num_key_value_heads',
      'head_dim',
      'max_position_embeddings',
      'rms_norm_eps',
    ],
    numbers,
  ),
};

/** Where a family has one activation in the code and transformers many. */
export const siluKey: KeyUse = followed('silu; any other is refused');

const scaling = eachKey(
  [
    'rope_type',
    'type',
    'rope_theta',
    'partial_rotary_factor',
    'factor',
    'original_max_position_embeddings',
    'low_freq_factor',
    'high_freq_factor',
    'attention_factor',
    'beta_fast',
    'beta_slow',
    'mscale',
    'mscale_all_dim',
    'truncate',
    'short_factor',
    'long_factor',
  ],
  followed('by the scalings that have it, as in transformers'),
);
const scalingKeys: KeyTable = {
  ...scaling,
  finetuned: record,
  mrope_section: ignored('positions of images and video, of which texts have none'),
};

/** `rotaryOptions` reads it. */
export const rotaryKeys = {
  rope_theta: followed('where the parameters do not say'),
  rope_scaling: followed('before rope_parameters, as in transformers', scalingKeys),
  rope_parameters: followed('what transformers 5 writes', scalingKeys),
  partial_rotary_factor: followed('1, where a family turns whole heads: anything else is refused'),
  original_max_position_embeddings: followed('before the one among the parameters'),
} satisfies KeyTable;

/** `rotaryByLayerType` reads it. */
export const layerRotaryKeys: KeyTable = {
  rope_theta: followed('of layers without a window, where the parameters do not say'),
  rope_scaling: followed('of layers without a window', scalingKeys),
  rope_parameters: followed('by kind of layer; parameters that are not sorted so are left aside', {
    full_attention: followed('of layers without a window', scalingKeys),
    sliding_attention: followed('of layers with one', scalingKeys),
    ...eachKey(Object.keys(scalingKeys), ignored('not sorted by kind of layer: transformers 5 leaves them aside')),
  }),
  partial_rotary_factor: followed('1: anything else is refused'),
};

/** What a config has besides, whatever its family. */
export const otherConfigKeys: KeyTable = {
  quantization_config: followed('codes of bitsandbytes; other methods are refused'),
  quantization: refused('what mlx quantized'),
  per_layer_config: refused('layers of different kinds'),
  is_encoder_decoder: refused('true: Lowrank has decoders alone'),
  ...eachKey(['dtype', 'torch_dtype'], ignored('the file says how each tensor is stored; arithmetic is in f32')),
  pad_token_id: refused('its input row is trained, where transformers leaves it as it is: training warns of that'),
  architectures: ignored('a model that writes text is made, as by AutoModelForCausalLM'),
  ...eachKey(['auto_map', 'trust_remote_code'], ignored('code of a folder never runs; transformers has the model too')),
  tie_encoder_decoder: ignored('there is no encoder'),
  pruned_heads: ignored('the shapes of the weights say so'),
  ...eachKey(
    [
      'transformers_version',
      'name_or_path',
      'initializer_range',
      'initializer_factor',
      'model_name',
      'unsloth_fixed',
      'unsloth_version',
      'transformers.js_config',
      'is_llama_config',
      'rope_interleaved',
      'finetuning_task',
      'task_specific_params',
      'tokenizer_class',
      'prefix',
      'torchscript',
      'use_bfloat16',
      'tf_legacy_loss',
      'bad_words_ids',
    ],
    record,
  ),
  ...eachKey(
    [
      'use_cache',
      'cache_implementation',
      'output_attentions',
      'output_hidden_states',
      'return_dict',
      'return_dict_in_generate',
      'output_scores',
      'chunk_size_feed_forward',
      'gradient_checkpointing',
      'attn_implementation',
      'experts_implementation',
      'tie_last_hidden_states',
    ],
    ofCall,
  ),
  ...eachKey(
    [
      'id2label',
      'label2id',
      'num_labels',
      'problem_type',
      'classifier_dropout',
      'is_decoder',
      'cross_attention_hidden_size',
      'add_cross_attention',
      'sep_token_id',
      'decoder_start_token_id',
    ],
    ofOthers,
  ),
  ...eachKey(
    [
      'max_length',
      'min_length',
      'do_sample',
      'early_stopping',
      'num_beams',
      'num_beam_groups',
      'diversity_penalty',
      'temperature',
      'top_k',
      'top_p',
      'typical_p',
      'repetition_penalty',
      'length_penalty',
      'no_repeat_ngram_size',
      'encoder_no_repeat_ngram_size',
      'num_return_sequences',
      'forced_bos_token_id',
      'forced_eos_token_id',
      'remove_invalid_values',
      'exponential_decay_length_penalty',
      'suppress_tokens',
      'begin_suppress_tokens',
    ],
    ignored('transformers 5 takes it from generation_config.json alone'),
  ),
};

/** All that may stand in a family's config.json. */
export function configKeysOf({ configKeys, dropouts = usualDropouts }: FamilyFacts): KeyTable {
  return { ...otherConfigKeys, ...eachKey(Object.keys(dropouts), dropoutKey), ...configKeys };
}
