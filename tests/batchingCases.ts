import type { EncodedRow, TrainingBatchOptions } from '@lowrank/data';
import { ignored, packBatch, trainingBatches } from '@lowrank/data';
import type { LossBatch } from '@lowrank/models';
import type { Backend } from '@lowrank/tensor';
import { compile } from '@lowrank/tensor';
import type { TrainSession } from '@lowrank/trainer';
import { parameterGradients, train } from '@lowrank/trainer';
import { expect } from 'vitest';
import { openTrainee, trainRows } from './parity/trainCases.js';

export type Layout = Pick<TrainingBatchOptions, 'batchSize' | 'gradientAccumulation' | 'packing' | 'maxPackedTokens'>;

/** Eight rows of unequal lengths a step, in every layout. */
export const layouts: readonly (readonly [name: string, Layout])[] = [
  ['8×1, padded', { batchSize: 8, packing: false }],
  ['4×2, packed', { batchSize: 4, gradientAccumulation: 2 }],
  ['4×2, padded', { batchSize: 4, gradientAccumulation: 2, packing: false }],
  ['4×2, packed into several sequences', { batchSize: 4, gradientAccumulation: 2, maxPackedTokens: 48 }],
];

/** Loss and gradient norm of each step of an adapter's training. */
export async function trajectoryOf(backend: Backend, layout: Layout, steps: number): Promise<[number, number][]> {
  const { model, parameters } = await openTrainee('lora');
  const trajectory: [number, number][] = [];
  await train<TrainSession>({
    createSession: () => ({ backend, loss: (batch) => model.loss(batch), parameters }),
    batches: trainingBatches(await unequalRows(), { ...layout, seed: 4 }),
    steps,
    learningRate: 1e-2,
    weightDecay: 0.1,
    clip: 1,
    onEvent(event) {
      if (event.type === 'step') trajectory.push([event.loss, event.gradNorm]);
    },
  });
  for (const { parameter } of parameters) parameter.tensor.dispose();
  model.dispose();
  return trajectory;
}

/**
 * Puts other tokens into one document of a packed sequence: no loss of another document, and no gradient of what the
 * others teach, moves by a bit.
 */
export async function expectIsolation(backend: Backend): Promise<void> {
  const { model, parameters } = await openTrainee('full');
  const rows = (await unequalRows()).slice(0, 3);
  const step = compile(backend, (inputs) => ({ losses: model.losses(inputs as unknown as LossBatch) }));
  /** By document. */
  const lossesOf = async (documents: readonly EncodedRow[]): Promise<Float32Array[]> => {
    const values = Float32Array.from(await (await step.run(packBatch(documents).inputs)).losses);
    const starts = documents.map((_, at) => lengthOf(documents.slice(0, at)));
    return starts.map((start, at) => values.slice(start, start + lengthOf(documents.slice(at, at + 1))));
  };
  const gradientsOf = (documents: readonly EncodedRow[]): Promise<Map<string, Float32Array>> =>
    parameterGradients({ backend, loss: (batch) => model.loss(batch), parameters, batch: packBatch(documents) });
  const before = await lossesOf(rows);
  for (const [which, row] of rows.entries()) {
    const ids = row.ids.map((id) => (id + 7) % model.shape.vocabularySize);
    const others = <T>(values: readonly T[]): T[] => values.filter((_, at) => at !== which);
    const after = await lossesOf(rows.with(which, { ...row, ids }));
    expect(after[which]).not.toEqual(before[which]);
    expect(others(after)).toEqual(others(before));
    const silent = { ...row, labels: row.labels.map(() => ignored) };
    const gradients = await gradientsOf(rows.with(which, silent));
    expect(await gradientsOf(rows.with(which, { ...silent, ids }))).toEqual(gradients);
    expect(await gradientsOf(rows)).not.toEqual(gradients);
  }
  await step.dispose();
  for (const { parameter } of parameters) parameter.tensor.dispose();
  model.dispose();
}

function lengthOf(rows: readonly EncodedRow[]): number {
  return rows.reduce((total, { ids }) => total + ids.length, 0);
}

/** The golden rows, cut to 14 to 42 tokens at most. */
async function unequalRows(): Promise<readonly EncodedRow[]> {
  return (await trainRows()).map((row, at) => {
    const length = 14 + ((at * 11) % 29);
    const labels = row.labels.slice(0, length);
    return { ...row, ids: row.ids.slice(0, length), labels, labelTokens: labels.filter((id) => id !== ignored).length };
  });
}
