import { tensor } from '@lowrank/tensor';
import type { CausalModel } from './causalModel.js';
import { ConfigReader } from './config.js';
import { familyOf } from './registry.js';
import type { WeightRequest } from './weights.js';
import { weightSource } from './weights.js';

/** A model with fresh weights, which `initialize` makes by name and shape: to train from nothing. */
export function createModel(
  config: Readonly<Record<string, unknown>>,
  initialize: (request: WeightRequest) => Float32Array,
  name = 'config.json',
): CausalModel {
  const reader = new ConfigReader(config, name);
  return familyOf(reader).build(
    reader,
    weightSource({ tensor: (request) => tensor(initialize(request), request.shape, { name: request.name }) }),
  );
}
