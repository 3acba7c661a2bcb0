import type { SafetensorsFile } from '@lowrank/safetensors';
import type { CausalModel } from './causalModel.js';
import type { ConfigReader } from './config.js';
import type { FamilyFacts } from './familyFacts.js';
import { dropoutsOf } from './dropouts.js';
import { bodyNames } from './renamed.js';
import type { WeightSource } from './weights.js';

/** A family of models: what it states about itself, and how a config and weights become a model. */
export interface ModelFamily extends FamilyFacts {
  /** @throws LowrankError `models.config` for what the family's code does not have */
  build(config: ConfigReader, weights: WeightSource): CausalModel;
  /** The checkpoint under the names that the model asks for: several ways to name the same weights are in use. */
  weights(file: SafetensorsFile): SafetensorsFile;
}

/** A family as its file declares it. */
export interface FamilyDefinition<Config> extends FamilyFacts {
  /** Reads and checks config.json, with the defaults of the family's config class in transformers. */
  readonly config: (reader: ConfigReader) => Config;
  readonly model: (config: Config, weights: WeightSource) => CausalModel;
  /** The part of the config that the decoder reads. Default: the whole. */
  readonly part?: (reader: ConfigReader) => ConfigReader;
  /** Default: checkpoints of the body alone, which leave out `model.`, are read too. */
  readonly weights?: (file: SafetensorsFile) => SafetensorsFile;
}

/** Declares a family: what each file in `families/` exports. */
// @__NO_SIDE_EFFECTS__
export function defineFamily<Config>({
  config,
  model,
  part = (reader) => reader,
  weights = (file) => bodyNames(file, { body: 'model', heads: ['lm_head'] }),
  ...facts
}: FamilyDefinition<Config>): ModelFamily {
  return {
    ...facts,
    weights,
    build(reader, source) {
      const decoder = part(reader);
      for (const each of new Set([reader, decoder])) each.requireOff('is_encoder_decoder', 'per_layer_config');
      const built = model(config(reader), source);
      built.family = facts;
      built.dropouts = dropoutsOf(decoder, facts);
      built.paddingId = decoder.ids('pad_token_id').find((id) => id >= 0);
      return built;
    },
  };
}
