import { withDropout } from '@lowrank/nn';
import type { CausalModel } from '@lowrank/models';
import { loadModel, openFolder, TransferMeter } from '@lowrank/models';
import type { RandomState } from '@lowrank/tensor';
import type { LossFunction } from '@lowrank/trainer';
import type { TransferEvents } from './folders.js';

/** A model folder in memory. */
export interface OpenModel {
  readonly folder: string;
  readonly module: CausalModel;
  readonly vocabularySize: number;
  /** Tokens that fit the model's positions. */
  readonly contextLength: number;
  /** Without dropout. */
  readonly loss: LossFunction;
  /** The loss while training: dropout draws from `random`. */
  trainingLoss(random: RandomState): LossFunction;
}

export async function openModel(folder: string, { onTransfer }: TransferEvents = {}): Promise<OpenModel> {
  let meter: TransferMeter | undefined;
  let done = 0;
  const module = await loadModel(await openFolder(folder), {
    onProgress({ tensor, bytes, totalBytes }) {
      meter ??= new TransferMeter({ totalBytes });
      onTransfer?.({ stage: 'loading', ...meter.add(tensor, bytes - done) });
      done = bytes;
    },
  });
  const { vocabularySize, maxPositions } = module.shape;
  return {
    folder,
    module,
    vocabularySize,
    contextLength: maxPositions,
    loss: (batch) => module.loss(batch),
    trainingLoss: (random) => (batch) => withDropout(random, () => module.loss(batch)),
  };
}
