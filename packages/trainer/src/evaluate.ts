import type { Backend } from '@lowrank/tensor';
import type { Batch, LossFunction, TokenInput } from './batch.js';
import { lossOver } from './batch.js';
import type { ExecutionOptions } from './execution.js';
import { makeRunnable } from './execution.js';

export interface EvaluateOptions<Name extends string = TokenInput> extends ExecutionOptions {
  readonly backend: Backend;
  readonly loss: LossFunction<Name>;
  /** Every row once, laid out in few shapes: each new shape compiles a plan. */
  readonly batches: Iterable<Batch<Name>>;
  /** Stops between batches; the rest is left out of the result. */
  readonly signal?: AbortSignal;
}

export interface Evaluation {
  /** Σ of the batches' losses / Σ of their weights: for text a mean over label tokens, not over rows or batches. */
  readonly loss: number;
  /** Σ of the batches' weights: the label tokens of text. */
  readonly tokens: number;
  readonly rows: number;
}

/** Runs in flight at once: enough to keep a device busy, few enough to keep memory flat. */
const inFlight = 3;

/** The loss of a model over rows. The host adds the losses of the batches in double precision. */
export async function evaluate<Name extends string = TokenInput>({
  backend,
  loss,
  batches,
  signal,
  ...execution
}: EvaluateOptions<Name>): Promise<Evaluation> {
  const traced = lossOver(loss);
  const runnable = makeRunnable(backend, (inputs) => ({ loss: traced(inputs) }), execution);
  const pending: Promise<number>[] = [];
  let total = 0;
  let tokens = 0;
  let rows = 0;
  try {
    for (const batch of batches) {
      if (signal?.aborted === true) break;
      const outputs = await runnable.run(batch.inputs);
      const part = outputs.loss.then((values) => values[0] ?? NaN);
      // The await below reports a failure; until then it must not count as unhandled.
      part.catch(() => undefined);
      pending.push(part);
      tokens += batch.weight ?? 1;
      rows += batch.rows ?? 0;
      if (pending.length >= inFlight) total += (await pending.shift()) ?? 0;
    }
    for (const part of pending) total += await part;
  } finally {
    await runnable.dispose();
  }
  return { loss: total / tokens, tokens, rows };
}
