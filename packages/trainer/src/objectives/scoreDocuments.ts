import type { Backend } from '@lowrank/tensor';
import type { Batch } from '../batch.js';
import type { ExecutionOptions, Runnable } from '../execution.js';
import { makeRunnable } from '../execution.js';
import { documentLogps } from './documentSums.js';
import type { ScoredModel } from './objective.js';

type Scored = Parameters<typeof documentLogps>[1];

export interface ScoreDocumentsOptions extends ExecutionOptions {
  readonly backend: Backend;
  readonly model: ScoredModel;
  readonly batches: Iterable<Batch<Extract<keyof Scored, string>>>;
  readonly signal?: AbortSignal | undefined;
}

/**
 * log p(completion | prompt) of every document of batches, by their slots: what a model says before it is trained, for
 * preference losses to compare with. Nothing is kept for gradients. An aborted signal leaves the rest out.
 */
export async function scoreDocuments({
  backend,
  model,
  batches,
  signal,
  ...execution
}: ScoreDocumentsOptions): Promise<ArrayLike<number>[]> {
  const runnable: Runnable<{ logps: Scored['ids'] }> = makeRunnable(
    backend,
    (inputs) => ({ logps: documentLogps(model, inputs as unknown as Scored).logps }),
    execution,
  );
  const scores: ArrayLike<number>[] = [];
  try {
    for (const { inputs } of batches) {
      if (signal?.aborted === true) break;
      scores.push(await (await runnable.run(inputs)).logps);
    }
  } finally {
    await runnable.dispose();
  }
  return scores;
}
