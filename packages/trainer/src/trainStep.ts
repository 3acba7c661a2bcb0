import type { TokenBatch } from '@lowrank/data';
import type { Backend, Node, RandomState, Tensor } from '@lowrank/tensor';
import { add, assign, grad, mul, packAt, persistent, reshape, scalar, scope, select, sqrt, tensor } from '@lowrank/tensor';
import type { BatchShape, BatchTensors, LossFunction } from './batch.js';
import { asBatch, batchInputs, batchSpecs } from './batch.js';
import type { ExecutionOptions, Runnable } from './execution.js';
import { makeRunnable } from './execution.js';
import { firstNonFinite } from './nonFinite.js';
import type { AdamwOptions } from './optimizer.js';
import { optimizerScalars, setOptimizerScalars, updateParameters } from './optimizer.js';
import type { FlatVector, TrainedParameter } from './parameters.js';
import { disposeVectors, flattenParameters } from './parameters.js';

export interface TrainStepOptions extends AdamwOptions, ExecutionOptions {
  readonly backend: Backend;
  readonly loss: LossFunction;
  readonly parameters: readonly TrainedParameter[];
  /** Decay of every parameter that does not say otherwise; decoupled, as AdamW's. */
  readonly weightDecay?: number;
  /** What the loss draws dropout from; each batch gets a step of its own. */
  readonly random?: RandomState;
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
 * One optimizer step over one batch, or over several whose gradients are summed (an accumulation window): the loss is the sum over label tokens divided by
 * their number in the whole window, so that a window equals one big batch whatever its rows' lengths are.
 */
export interface TrainStep {
  /** Compiles what a window like this needs; call it with the largest first, and the shared memory never grows again. */
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
  const vectors = await flattenParameters(parameters, backend.spec, { weightDecay });
  return new FlatTrainStep(options, vectors);
}

type Numbers = { loss: Tensor; gradNorm: Tensor };
type Nothing = Record<never, never>;

class FlatTrainStep implements TrainStep {
  steps = 0;
  private batches = 0;
  private readonly optimizer = optimizerScalars();
  private readonly lossScale = scalar(1, { name: 'lossScale' });
  /** 0 for the first batch of a window: what the accumulators held is forgotten. */
  private readonly carry = scalar(0, { name: 'carry' });
  private readonly health = tensor([1], [], { name: 'health' });
  private accumulators: { loss: Tensor; gradients: Tensor[] } | undefined;
  private readonly whole: Runnable<Numbers>;
  private readonly part: Runnable<Nothing>;
  private readonly update: Runnable<Numbers>;

  constructor(
    private readonly options: TrainStepOptions,
    readonly vectors: readonly FlatVector[],
  ) {
    const { backend } = options;
    this.whole = makeRunnable(backend, (batch) => this.traceWhole(asBatch(batch)), options);
    this.part = makeRunnable(backend, (batch) => this.tracePart(asBatch(batch)), options);
    this.update = makeRunnable(backend, () => this.traceUpdate(), options);
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
    setOptimizerScalars(this.optimizer, this.steps, { ...this.options, learningRate });
    this.lossScale.value = scaleOf(window);
    const draw = this.batches;
    const [first, second] = window;
    let outputs;
    if (first !== undefined && second === undefined) {
      this.drawAnew();
      outputs = await this.whole.run(batchInputs(first));
    } else {
      for (const [at, batch] of window.entries()) {
        this.carry.value = at === 0 ? 0 : 1;
        this.drawAnew();
        await this.part.run(batchInputs(batch));
      }
      outputs = await this.update.run({});
    }
    return { loss: outputs.loss.then(firstNumber), gradNorm: outputs.gradNorm.then(firstNumber), draw };
  }

  async diagnose(window: readonly TokenBatch[], draw: number): Promise<string | undefined> {
    const names = new Map<Node, string>(this.vectors.flatMap(({ views, segments }) => views.map((view, at) => [view.node, `the parameter ${segments[at]?.name} itself`] as const)));
    this.lossScale.value = scaleOf(window);
    this.batches = draw;
    for (const batch of window) {
      this.drawAnew();
      const fn = (inputs: Record<string, Tensor>): Record<string, Tensor> => {
        const { loss, gradients } = this.traceGradients(asBatch(inputs));
        return { loss, ...Object.fromEntries(gradients.map((gradient, at) => [`gradient${at}`, gradient])) };
      };
      const origin = await firstNonFinite({ backend: this.options.backend, inputs: batchInputs(batch), fn, names });
      if (origin !== undefined) return origin;
    }
    return undefined;
  }

  async dispose({ weights = false }: { weights?: boolean } = {}): Promise<void> {
    for (const runnable of [this.whole, this.part, this.update]) await runnable.dispose();
    const { loss, gradients } = this.accumulators ?? { loss: undefined, gradients: [] };
    for (const owned of [this.health, loss, ...gradients]) owned?.dispose();
    disposeVectors(this.vectors, { weights });
  }

  /** Loss and flat gradients of one batch, divided by the label tokens of its window. */
  private traceGradients(batch: BatchTensors): { loss: Tensor; gradients: Tensor[] } {
    const loss = mul(this.options.loss(batch), this.lossScale);
    const all = grad(loss, this.vectors.flatMap(({ views }) => views));
    let next = 0;
    const gradients = this.vectors.map(({ segments, size }) => {
      const own = all.slice(next, (next += segments.length));
      return scope('optimizer', () => packAt(own, segments.map(({ offset }) => offset), size));
    });
    return { loss: reshape(loss, []), gradients };
  }

  private traceWhole(batch: BatchTensors): Numbers {
    return this.traceOptimizer(this.traceGradients(batch));
  }

  private tracePart(batch: BatchTensors): Nothing {
    const { loss, gradients } = this.traceGradients(batch);
    const totals = this.totals();
    const accumulate = (total: Tensor, value: Tensor): void => assign(total, add(select(this.carry, total, 0), value));
    scope('accumulate', () => {
      accumulate(totals.loss, loss);
      totals.gradients.forEach((total, at) => accumulate(total, gradients[at] ?? total));
    });
    return {};
  }

  private traceUpdate(): Numbers {
    return this.traceOptimizer(this.totals());
  }

  private traceOptimizer({ loss, gradients }: { loss: Tensor; gradients: readonly Tensor[] }): Numbers {
    const { health, vectors, optimizer, options } = this;
    const squared = updateParameters({ vectors, gradients, loss, health, scalars: optimizer, options, spec: options.backend.spec });
    return { loss, gradNorm: sqrt(squared) };
  }

  private totals(): { loss: Tensor; gradients: Tensor[] } {
    this.accumulators ??= { loss: persistent([], { name: 'windowLoss' }), gradients: this.vectors.map(({ size }) => persistent([size], { name: 'windowGradient' })) };
    return this.accumulators;
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
