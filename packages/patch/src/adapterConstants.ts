import { frozenHalf } from '@lowrank/lora';
import type { Module, TrainedParameter } from '@lowrank/nn';
import { layersWith } from './adaptedLayers.js';
import { recordsOf } from './adapterRecords.js';

/**
 * What an adapter has that is not trained and that only its beginning made: the initial A and B of one that began as a
 * part of W, and a half that stays as it began.
 */
export function adapterConstants(model: Module, name = 'default'): TrainedParameter[] {
  const init = recordsOf(model).configs.get(name)?.init;
  const frozen = init === undefined ? undefined : frozenHalf(init);
  return layersWith(model, name).flatMap(([path, { embedding }, { a, b, initial }]) => {
    const half = frozen === 'a' ? a : frozen === 'b' ? b : undefined;
    const own = [
      ['initial_A', initial?.a],
      ['initial_B', initial?.b],
      [`lora_${embedding ? 'embedding_' : ''}${frozen === 'a' ? 'A' : 'B'}`, half],
    ] as const;
    return own.flatMap(([key, parameter]) => (parameter === undefined ? [] : [{ name: `${path}.${key}`, parameter }]));
  });
}
