import type { TokenBatch } from '@lowrank/data';
import type { Backend } from '@lowrank/tensor';
import type { LossFunction } from './batch.js';
import { asBatch, batchInputs } from './batch.js';
import type { ExecutionOptions } from './execution.js';
import { makeRunnable } from './execution.js';

export interface EvaluateOptions extends ExecutionOptions {
  readonly backend: Backend;
  readonly loss: LossFunction;
  /** Every row once, laid out in few shapes: each new one is runnable. */
  readonly batches: Iterable<TokenBatch>;
  /** Stops between batches; the rest is left out of the result. */
  readonly signal?: AbortSignal;
}

export interface Evaluation {
  /** Σ over all label tokens of −log p(label) / their number: a mean over tokens, not over rows or batches. */
  readonly loss: number;
  /** Label tokens. */
  readonly tokens: number;
  readonly rows: number;
}

/** Runs that may be on their way at once: enough to keep a device busy, few enough to keep memory flat. */
const inFlight = 3;

/** The loss of a model over rows. Sums of batches are added in double precision on the host. */
export async function evaluate({ backend, loss, batches, signal, ...execution }: EvaluateOptions): Promise<Evaluation> {
  const runnable = makeRunnable(backend, (batch) => ({ loss: loss(asBatch(batch)) }), execution);
  const pending: Promise<number>[] = [];
  let total = 0;
  let tokens = 0;
  let rows = 0;
  try {
    for (const batch of batches) {
      if (signal?.aborted === true) break;
      const outputs = await runnable.run(batchInputs(batch));
      const part = outputs.loss.then((values) => values[0] ?? NaN);
      // Whoever awaits it hears of a failure; until then it is not unhandled.
      part.catch(() => undefined);
      pending.push(part);
      tokens += batch.labelTokens;
      rows += batch.rows;
      if (pending.length >= inFlight) total += (await pending.shift()) ?? 0;
    }
    for (const part of pending) total += await part;
  } finally {
    await runnable.dispose();
  }
  return { loss: total / tokens, tokens, rows };
}
