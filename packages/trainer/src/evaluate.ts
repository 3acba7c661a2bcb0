import type { Backend, Tensor } from '@lowrank/tensor';
import type { Batch, LossFunction, MeasuredLoss, Measures, TokenInput } from './batch.js';
import { inputSpecs, lossOver, statedBy } from './batch.js';
import type { ExecutionOptions, Runnable } from './execution.js';
import { makeRunnable } from './execution.js';

/** Options of `evaluate`. */
export interface EvaluateOptions<Name extends string = TokenInput> extends ExecutionOptions {
  readonly backend: Backend;
  readonly loss: LossFunction<Name>;
  /** Every row once, laid out in few shapes: each new shape compiles a plan. */
  readonly batches: Iterable<Batch<Name>> | AsyncIterable<Batch<Name>>;
  /** Stops between batches; the rest is left out of the result. */
  readonly signal?: AbortSignal;
}

/** A loss over rows that were not trained on, weighted by label tokens. */
export interface Evaluation {
  /** Σ of the batches' losses / Σ of their weights: for text a mean over label tokens, not over rows or batches. */
  readonly loss: number;
  /** Σ of the batches' weights: the label tokens of text. */
  readonly tokens: number;
  readonly rows: number;
  /** What the loss measures beside itself, in the same way. */
  readonly measures: Measures;
}

/** Runs in flight at once: enough to keep a device busy, few enough to keep memory flat. */
const inFlight = 3;

/** The loss of a model over rows. The host adds the losses of the batches in double precision. */
export async function evaluate<Name extends string = TokenInput>({
  batches,
  signal,
  ...options
}: EvaluateOptions<Name>): Promise<Evaluation> {
  const evaluator = new Evaluator<Name>(options);
  try {
    return await evaluator.run(batches, signal);
  } finally {
    await evaluator.dispose();
  }
}

/** Evaluates again and again, with what was compiled the first time. */
export class Evaluator<Name extends string = TokenInput> {
  private readonly runnable: Runnable<Record<string, Tensor>>;

  constructor({ backend, loss, ...execution }: Omit<EvaluateOptions<Name>, 'batches' | 'signal'>) {
    const traced = lossOver(loss);
    this.runnable = makeRunnable(backend, (inputs) => numbersOf(traced(inputs)), execution);
  }

  /** Compiles what a batch of this shape needs. */
  async prepare({ inputs }: Batch<Name>): Promise<void> {
    await this.runnable.prepare(inputSpecs(inputs));
  }

  async run(batches: EvaluateOptions<Name>['batches'], signal?: AbortSignal): Promise<Evaluation> {
    const pending: Promise<Measures>[] = [];
    const evaluated: Batch<Name>[] = [];
    const totals: Record<string, number> = {};
    let tokens = 0;
    let rows = 0;
    const add = (part: Measures): void => {
      for (const [name, value] of Object.entries(part)) totals[name] = (totals[name] ?? 0) + value;
    };
    for await (const batch of batches) {
      if (signal?.aborted === true) break;
      const outputs = await this.runnable.run(batch.inputs);
      const part = arrived(outputs);
      // The await below reports a failure; until then it must not count as unhandled.
      part.catch(() => undefined);
      pending.push(part);
      tokens += batch.weight ?? 1;
      rows += batch.rows ?? 0;
      if (batch.unstated !== undefined) evaluated.push(batch);
      if (pending.length >= inFlight) add((await pending.shift()) ?? {});
    }
    for (const part of pending) add(await part);
    const means = Object.entries(totals).map(([name, total]) => [name, total / tokens] as const);
    const { [lossName]: mean = NaN, ...measures } = Object.fromEntries(means);
    return { loss: mean, tokens, rows, measures: statedBy(measures, evaluated) };
  }

  dispose(): Promise<void> {
    return this.runnable.dispose();
  }
}

/** The loss among what a batch's plan computes; measures have names of their own. */
const lossName = '';

function numbersOf({ loss, measures }: MeasuredLoss): Record<string, Tensor> {
  return { ...measures, [lossName]: loss };
}

async function arrived(outputs: Readonly<Record<string, Promise<ArrayLike<number>>>>): Promise<Measures> {
  const entries = Object.entries(outputs).map(async ([name, values]) => [name, (await values)[0] ?? NaN] as const);
  return Object.fromEntries(await Promise.all(entries));
}
