import type { TrainedParameter } from '@lowrank/nn';
import type { Backend, Tensor } from '@lowrank/tensor';
import type { Node } from '@lowrank/tensor/op';
import type { Batch, Measures, TokenInput } from './batch.js';
import { inputSpecs, statedBy, totalWeight } from './batch.js';
import type { ExecutionOptions, Runnable } from './execution.js';
import { makeRunnable } from './execution.js';
import { setStepScalars } from './optimizer.js';
import type { FlatVector } from './parameters.js';
import { disposeVectors, flattenParameters } from './parameters.js';
import type { Nothing, Numbers, StepOptions } from './stepTraces.js';
import { measureOutput, StepTraces } from './stepTraces.js';
import type { Stateful, StepState } from './trainState.js';
import { restoreTensors, stateTensors } from './trainState.js';

export interface TrainStepOptions<Name extends string = TokenInput> extends StepOptions<Name>, ExecutionOptions {
  readonly backend: Backend;
  readonly parameters: readonly TrainedParameter[];
  /** Tensors that are not trained and belong to its state: how an adapter began. */
  readonly constants?: readonly TrainedParameter[] | undefined;
  /** Decay of every parameter that does not state its own; decoupled, as AdamW's. */
  readonly weightDecay?: number;
}

/** The numbers of a step, as they arrive from the device. */
export interface StepNumbers {
  readonly loss: Promise<number>;
  /** Of the whole gradient, before clipping. */
  readonly gradNorm: Promise<number>;
  /** What the loss measures beside itself: Σ / Σ weight. */
  readonly measures: Promise<Measures>;
  /** The RNG step of the first micro-batch: how many micro-batches ran before it. */
  readonly rngStep: number;
}

/**
 * One optimizer step over one micro-batch, or over several whose gradients are accumulated. The loss is Σ loss / Σ
 * weight over all of them, so that accumulation equals one large batch whatever the rows' lengths are.
 */
export interface TrainStep<Name extends string = TokenInput> {
  /**
   * Compiles what a step over micro-batches of these shapes needs; call it with the largest first, and the shared
   * memory never grows again.
   */
  prepare(microBatches: readonly Batch<Name>[]): Promise<void>;
  /** Resolves when the device has the work; the numbers come later. */
  run(microBatches: readonly Batch<Name>[], learningRate: number): Promise<StepNumbers>;
  /**
   * Runs the micro-batches again, on the weights as they are, and returns where the first value that is not finite
   * arises.
   */
  diagnose(microBatches: readonly Batch<Name>[], rngStep: number): Promise<string | undefined>;
  /** Steps started so far, those before a restored state included. */
  readonly steps: number;
  /** All that it carries from one step to the next: when the device has done what was started. */
  state(): StepState;
  /**
   * Goes on from a state as if its steps had been taken here.
   *
   * @throws LowrankError `trainer.state` for one of other parameters or another optimizer
   */
  restore(state: StepState): Promise<void>;
  /**
   * Leaves out a step whose loss or gradient was not finite: it has changed nothing, nor have those that were started
   * after it, which are to be run again. When all that was started has arrived.
   *
   * @param at `rngStep`: of the first micro-batch after it; `count`: of steps that are left out up to this one, where a
   * state was restored, default 1
   */
  skip(at: { readonly step: number; readonly rngStep: number; readonly count?: number }): void;
  /** Steps that were left out, those before a restored state included. */
  readonly skipped: number;
  readonly vectors: readonly FlatVector[];
  /** Frees plans and optimizer state; the trained weights stay where they are unless `weights` is set. */
  dispose(options?: { weights?: boolean }): Promise<void>;
}

/** @throws LowrankError what flattenParameters and the compiler throw */
export async function createTrainStep<Name extends string = TokenInput>(
  options: TrainStepOptions<Name>,
): Promise<TrainStep<Name>> {
  const { backend, parameters, weightDecay = 0 } = options;
  const vectors = await flattenParameters(parameters, backend.spec, { weightDecay, optimizer: options.optimizer });
  return new FlatTrainStep(options, vectors);
}

class FlatTrainStep<Name extends string> implements TrainStep<Name> {
  steps = 0;
  skipped = 0;
  /** Micro-batches run so far: the RNG step of the next. */
  private rngStep = 0;
  private readonly traces: StepTraces<Name>;
  private readonly whole: Runnable<Numbers>;
  private readonly accumulate: Runnable<Nothing>;
  private readonly update: Runnable<Numbers>;

  constructor(
    private readonly options: TrainStepOptions<Name>,
    readonly vectors: readonly FlatVector[],
  ) {
    const { backend } = options;
    this.traces = new StepTraces(options, vectors, backend.spec.precision);
    this.whole = makeRunnable(backend, (inputs) => this.traces.whole(inputs), options);
    this.accumulate = makeRunnable(backend, (inputs) => this.traces.accumulate(inputs), options);
    this.update = makeRunnable(backend, () => this.traces.update(), options);
  }

  async prepare(microBatches: readonly Batch<Name>[]): Promise<void> {
    const [first, second] = microBatches;
    if (first !== undefined && second === undefined) {
      await this.whole.prepare(inputSpecs(first.inputs));
      return;
    }
    for (const { inputs } of microBatches) await this.accumulate.prepare(inputSpecs(inputs));
    await this.update.prepare({});
  }

  async run(microBatches: readonly Batch<Name>[], learningRate: number): Promise<StepNumbers> {
    this.steps++;
    // The bias correction is of the updates that there were.
    setStepScalars(this.traces.optimizer, this.steps - this.skipped, { ...this.options, learningRate });
    this.traces.setWeight(totalWeight(microBatches));
    const { rngStep } = this;
    const [first, second] = microBatches;
    let outputs;
    if (first !== undefined && second === undefined) {
      this.advanceRng();
      outputs = await this.whole.run(first.inputs);
    } else {
      for (const [at, { inputs }] of microBatches.entries()) {
        this.traces.carry.value = at === 0 ? 0 : 1;
        this.advanceRng();
        await this.accumulate.run(inputs);
      }
      outputs = await this.update.run({});
    }
    const measures = measuresOf(outputs).then((all) => statedBy(all, microBatches));
    // Whoever waits for the loss learns of a failure; nobody has to ask for measures.
    measures.catch(() => undefined);
    return { loss: outputs.loss.then(firstNumber), gradNorm: outputs.gradNorm.then(firstNumber), measures, rngStep };
  }

  state(): StepState {
    return { step: this.steps, rngStep: this.rngStep, skipped: this.skipped, tensors: stateTensors(this.stateful) };
  }

  private get stateful(): Stateful {
    return { vectors: this.vectors, constants: this.options.constants };
  }

  async restore({ step, rngStep, skipped = 0, tensors }: StepState): Promise<void> {
    await restoreTensors(this.stateful, tensors);
    this.traces.heal();
    this.steps = step;
    this.rngStep = rngStep;
    this.skipped = skipped;
  }

  skip({ step, rngStep, count = 1 }: Parameters<TrainStep['skip']>[0]): void {
    this.traces.heal();
    this.steps = step;
    this.rngStep = rngStep;
    this.skipped += count;
  }

  async diagnose(microBatches: readonly Batch<Name>[], rngStep: number): Promise<string | undefined> {
    const names = new Map<Node, string>(
      this.vectors.flatMap(({ views, segments }) =>
        views.map((view, at) => [view.node, `the parameter ${segments[at]?.name} itself`] as const),
      ),
    );
    this.traces.setWeight(totalWeight(microBatches));
    this.rngStep = rngStep;
    const fn = (traced: Record<string, Tensor>): Record<string, Tensor> => {
      const { loss, gradients } = this.traces.gradients(traced);
      return { loss, ...Object.fromEntries(gradients.map((gradient, at) => [`gradient${at}`, gradient])) };
    };
    const { firstNonFinite } = await import('./firstNonFinite.js');
    for (const { inputs } of microBatches) {
      this.advanceRng();
      const origin = await firstNonFinite({ backend: this.options.backend, inputs, fn, names });
      if (origin !== undefined) return origin;
    }
    return undefined;
  }

  async dispose({ weights = false }: { weights?: boolean } = {}): Promise<void> {
    for (const runnable of [this.whole, this.accumulate, this.update]) await runnable.dispose();
    this.traces.dispose();
    disposeVectors(this.vectors, { weights });
  }

  private advanceRng(): void {
    if (this.options.random !== undefined) this.options.random.step.value = this.rngStep;
    this.rngStep++;
  }
}

async function measuresOf(outputs: Readonly<Record<string, Promise<ArrayLike<number>>>>): Promise<Measures> {
  const prefix = measureOutput('');
  const named = Object.entries(outputs).filter(([name]) => name.startsWith(prefix));
  const arrived = named.map(async ([name, values]) => [name.slice(prefix.length), firstNumber(await values)] as const);
  return Object.fromEntries(await Promise.all(arrived));
}

function firstNumber(values: ArrayLike<number>): number {
  return values[0] ?? NaN;
}
