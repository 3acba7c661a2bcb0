import type { LoraConfig } from '@lowrank/lora';
import { frozenHalf } from '@lowrank/lora';
import type { Module, TrainedParameter } from '@lowrank/nn';
import { layersWith } from './adaptedLayers.js';
import { biasesOf } from './biases.js';
import { requireUnmerged } from './mergeGuards.js';
import { trainedCopies } from './savedModules.js';
import { trainedTokenRows } from './tokenRows.js';

/**
 * Freezes every parameter of the model but those of one adapter, which it returns: its matrices and vectors, its copies
 * of modules and of token rows, and the base's biases that its configuration trains along.
 */
export function trainOnly(model: Module, name: string, config: LoraConfig): TrainedParameter[] {
  requireUnmerged(model, `training the adapter ${name}`);
  for (const [, parameter] of model.namedParameters()) parameter.trainable = false;
  const frozen = frozenHalf(config.init);
  const trained = [
    ...layersWith(model, name).flatMap(([path, { embedding }, { a, b, bias, vector, variant }]): TrainedParameter[] => {
      const half = embedding ? 'lora_embedding_' : 'lora_';
      const own = [
        [`${half}A`, frozen === 'a' ? undefined : a],
        [`${half}B`, frozen === 'b' ? undefined : b],
        ['lora_B.bias', bias],
        [variant?.vector, vector],
      ] as const;
      return own.flatMap(([key, parameter]) =>
        parameter === undefined ? [] : [{ name: `${path}.${key}`, parameter }],
      );
    }),
    ...biasesOf(model, name, config),
    ...trainedCopies(model, name),
    ...trainedTokenRows(model, name, config),
  ];
  for (const { parameter } of trained) parameter.trainable = true;
  return trained;
}
