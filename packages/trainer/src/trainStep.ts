import type { TokenBatch } from '@lowrank/data';
import type { Backend, Tensor } from '@lowrank/tensor';
import type { Node } from '@lowrank/tensor/op';
import type { BatchShape } from './batch.js';
import { asBatch, batchInputs, batchSpecs } from './batch.js';
import type { ExecutionOptions, Runnable } from './execution.js';
import { makeRunnable } from './execution.js';
import { firstNonFinite } from './nonFinite.js';
import { setOptimizerScalars } from './optimizer.js';
import type { FlatVector, TrainedParameter } from './parameters.js';
import { disposeVectors, flattenParameters } from './parameters.js';
import type { Nothing, Numbers, StepOptions } from './stepTraces.js';
import { StepTraces } from './stepTraces.js';

export interface TrainStepOptions extends StepOptions, ExecutionOptions {
  readonly backend: Backend;
  readonly parameters: readonly TrainedParameter[];
  /** Decay of every parameter that does not say otherwise; decoupled, as AdamW's. */
  readonly weightDecay?: number;
}

/** The numbers of a step, as they arrive from the device. */
export interface StepNumbers {
  readonly loss: Promise<number>;
  /** Of the whole gradient, before clipping. */
  readonly gradNorm: Promise<number>;
  /** Counts batches: what the first batch of the window drew its randomness from. */
  readonly draw: number;
}

/**
 * One optimizer step over one batch, or over several whose gradients are summed (an accumulation window): the loss is
 * the sum over label tokens divided by their number in the whole window, so that a window equals one big batch whatever
 * its rows' lengths are.
 */
export interface TrainStep {
  /**
   * Compiles what a window like this needs; call it with the largest first, and the shared memory never grows again.
   */
  prepare(window: readonly BatchShape[]): Promise<void>;
  /** Resolves when the work has been handed to the device; the numbers come later. */
  run(window: readonly TokenBatch[], learningRate: number): Promise<StepNumbers>;
  /** Where the first value that is not finite arises when this window is run again, on the weights as they are. */
  diagnose(window: readonly TokenBatch[], draw: number): Promise<string | undefined>;
  /** Steps that have been asked for. */
  readonly steps: number;
  readonly vectors: readonly FlatVector[];
  /** Frees plans and optimizer state; the trained weights stay where they are unless `weights` is set. */
  dispose(options?: { weights?: boolean }): Promise<void>;
}

/** @throws LowrankError what flattenParameters and the compiler throw */
export async function createTrainStep(options: TrainStepOptions): Promise<TrainStep> {
  const { backend, parameters, weightDecay = 0 } = options;
  const vectors = await flattenParameters(parameters, backend.spec, { weightDecay, optimizer: options.optimizer });
  return new FlatTrainStep(options, vectors);
}

class FlatTrainStep implements TrainStep {
  steps = 0;
  private batches = 0;
  private readonly traces: StepTraces;
  private readonly whole: Runnable<Numbers>;
  private readonly part: Runnable<Nothing>;
  private readonly update: Runnable<Numbers>;

  constructor(
    private readonly options: TrainStepOptions,
    readonly vectors: readonly FlatVector[],
  ) {
    const { backend } = options;
    this.traces = new StepTraces(options, vectors);
    this.whole = makeRunnable(backend, (batch) => this.traces.whole(asBatch(batch)), options);
    this.part = makeRunnable(backend, (batch) => this.traces.part(asBatch(batch)), options);
    this.update = makeRunnable(backend, () => this.traces.update(), options);
  }

  async prepare(window: readonly BatchShape[]): Promise<void> {
    const [first, second] = window;
    if (first !== undefined && second === undefined) {
      await this.whole.prepare(batchSpecs(first));
      return;
    }
    for (const batch of window) await this.part.prepare(batchSpecs(batch));
    await this.update.prepare({});
  }

  async run(window: readonly TokenBatch[], learningRate: number): Promise<StepNumbers> {
    this.steps++;
    setOptimizerScalars(this.traces.optimizer, this.steps, { ...this.options, learningRate });
    this.traces.lossScale.value = scaleOf(window);
    const draw = this.batches;
    const [first, second] = window;
    let outputs;
    if (first !== undefined && second === undefined) {
      this.drawAnew();
      outputs = await this.whole.run(batchInputs(first));
    } else {
      for (const [at, batch] of window.entries()) {
        this.traces.carry.value = at === 0 ? 0 : 1;
        this.drawAnew();
        await this.part.run(batchInputs(batch));
      }
      outputs = await this.update.run({});
    }
    return { loss: outputs.loss.then(firstNumber), gradNorm: outputs.gradNorm.then(firstNumber), draw };
  }

  async diagnose(window: readonly TokenBatch[], draw: number): Promise<string | undefined> {
    const names = new Map<Node, string>(
      this.vectors.flatMap(({ views, segments }) =>
        views.map((view, at) => [view.node, `the parameter ${segments[at]?.name} itself`] as const),
      ),
    );
    this.traces.lossScale.value = scaleOf(window);
    this.batches = draw;
    for (const batch of window) {
      this.drawAnew();
      const fn = (inputs: Record<string, Tensor>): Record<string, Tensor> => {
        const { loss, gradients } = this.traces.gradients(asBatch(inputs));
        return { loss, ...Object.fromEntries(gradients.map((gradient, at) => [`gradient${at}`, gradient])) };
      };
      const origin = await firstNonFinite({ backend: this.options.backend, inputs: batchInputs(batch), fn, names });
      if (origin !== undefined) return origin;
    }
    return undefined;
  }

  async dispose({ weights = false }: { weights?: boolean } = {}): Promise<void> {
    for (const runnable of [this.whole, this.part, this.update]) await runnable.dispose();
    this.traces.dispose();
    disposeVectors(this.vectors, { weights });
  }

  private drawAnew(): void {
    if (this.options.random !== undefined) this.options.random.step.value = this.batches;
    this.batches++;
  }
}

/** 1 / label tokens of the window. */
function scaleOf(window: readonly TokenBatch[]): number {
  return 1 / window.reduce((total, { labelTokens }) => total + labelTokens, 0);
}

function firstNumber(values: ArrayLike<number>): number {
  return values[0] ?? NaN;
}
