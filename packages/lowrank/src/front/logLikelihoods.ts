import type { EncodedRow } from '@lowrank/data';
import { documentBatches, withVirtualTokens } from '@lowrank/data';
import type { Backend } from '@lowrank/tensor';
import type { ScoredModel } from '@lowrank/trainer';
import { scoreDocuments } from '@lowrank/trainer';
import type { RunOptions, TrainingModel } from './runOptions.js';

/** Log probabilities by document. */
export type Reference = ReadonlyMap<EncodedRow, number>;

/** Log p(labels | what comes before them) of each document, Σ over its labels; without those that a signal cut off. */
export async function logLikelihoods(
  { vocabularySize, module }: TrainingModel['open'],
  documents: readonly EncodedRow[],
  {
    virtualTokens,
    count,
    ...options
  }: Pick<RunOptions, 'signal' | 'execution'> & {
    readonly backend: Backend;
    readonly virtualTokens: number;
    /** Documents that have to be scored: the first ones. Default all. */
    readonly count?: number;
  },
): Promise<Reference> {
  const batches = documentBatches(withVirtualTokens(documents, { vocabularySize, virtualTokens }), { count });
  const model: ScoredModel = module;
  const scores = await scoreDocuments({ ...options, model, batches });
  const reference = new Map<EncodedRow, number>();
  for (const [at, batch] of batches.entries())
    for (const [slot, place] of batch.documents.entries()) {
      const document = documents[place];
      if (document !== undefined) reference.set(document, scores[at]?.[slot] ?? NaN);
    }
  return reference;
}
