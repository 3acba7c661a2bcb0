import { LowrankError } from '@lowrank/errors';
import type { CausalModel } from './causalModel.js';
import type { ConfigReader } from './config.js';
import { Llama, llamaConfig } from './llama.js';
import type { WeightSource } from './weights.js';

/** An architecture: from a checked config and weights by name to a model. A new one is a file and a line in this table. */
export interface Architecture {
  build(config: ConfigReader, weights: WeightSource): CausalModel;
}

const architectures: Readonly<Record<string, Architecture>> = {
  llama: { build: (config, weights) => new Llama(llamaConfig(config), weights) },
};

/** @throws LowrankError `models.unknownType` */
export function architectureOf(config: ConfigReader): Architecture {
  const { modelType } = config;
  const found = Object.hasOwn(architectures, modelType) ? architectures[modelType] : undefined;
  if (found !== undefined) return found;
  throw new LowrankError({ code: 'models.unknownType', what: `model_type in ${config.name}`, expected: `one of ${Object.keys(architectures).join(', ')}`, got: JSON.stringify(modelType), remedy: 'Use a model of a supported family.' });
}
