import type { ModelShape } from './textModel.js';
import type { ConfigReader } from './config.js';

/** What the decoders of most families have, under the config keys that they share. */
export interface TransformerConfig extends ModelShape {
  readonly intermediateSize: number;
  readonly normEpsilon: number;
  readonly tied: boolean;
}

/**
 * What a family's config class in transformers takes for keys that are left out. The sizes that are not among them a
 * config has to say.
 */
export interface ConfigDefaults {
  readonly vocabularySize?: number;
  readonly hiddenSize?: number;
  readonly layers?: number;
  readonly intermediateSize?: number;
  readonly heads?: number;
  /** As many as heads, where undefined. */
  readonly keyHeads?: number;
  /** Hidden size over heads, where undefined. */
  readonly headSize?: number;
  readonly maxPositions: number;
  readonly normEpsilon: number;
  readonly tied: boolean;
  readonly bosId?: number;
  readonly eosId?: number;
}

export function transformerConfig(config: ConfigReader, defaults: ConfigDefaults): TransformerConfig {
  const hiddenSize = config.integer('hidden_size', defaults.hiddenSize);
  const heads = config.integer('num_attention_heads', defaults.heads);
  const keyHeads = config.integer('num_key_value_heads', defaults.keyHeads ?? heads);
  const headSize = config.integer('head_dim', defaults.headSize ?? hiddenSize / heads);
  if (heads % keyHeads !== 0) config.fail('num_key_value_heads', `a divisor of the ${heads} attention heads`, keyHeads);
  if (headSize % 2 !== 0) config.fail('head_dim', 'an even number', headSize);
  return {
    modelType: config.modelType,
    vocabularySize: config.integer('vocab_size', defaults.vocabularySize),
    hiddenSize,
    layers: config.layers('num_hidden_layers', defaults.layers),
    intermediateSize: config.integer('intermediate_size', defaults.intermediateSize),
    heads,
    keyHeads,
    headSize,
    maxPositions: config.integer('max_position_embeddings', defaults.maxPositions),
    normEpsilon: config.number('rms_norm_eps', defaults.normEpsilon),
    tied: config.boolean('tie_word_embeddings', defaults.tied),
    bosId: config.ids('bos_token_id', defaults.bosId)[0],
    eosIds: config.ids('eos_token_id', defaults.eosId),
  };
}

/**
 * The sliding window of each layer, 0 for none, from `layer_types`, or from `sliding` where a config leaves that out.
 */
export function layerWindows(
  config: ConfigReader,
  { layers, window, sliding }: { layers: number; window: number | undefined; sliding: (at: number) => boolean },
): number[] {
  const types = config.has('layer_types')
    ? config.strings('layer_types')
    : Array.from({ length: layers }, (_, at) =>
        window !== undefined && sliding(at) ? 'sliding_attention' : 'full_attention',
      );
  if (types.length !== layers) config.fail('layer_types', `${layers} of them, one for each layer`, types);
  return types.map((type) => {
    // The older name is transformers' too.
    if (type === 'full_attention' || type === 'attention') return 0;
    if (type !== 'sliding_attention') return config.refuse('layer_types', '"full_attention" and "sliding_attention"');
    return window ?? config.fail('layer_types', 'no "sliding_attention" without a sliding window', types);
  });
}
