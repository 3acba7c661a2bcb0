import type { RandomState, Tensor } from '@lowrank/tensor';
import { add, assign, mul, persistent, reshape, scalar, where, sqrt, tensor } from '@lowrank/tensor';
import type { Precision } from '@lowrank/tensor/backend';
import { packAt, scope, sourceOf } from '@lowrank/tensor/op';
import { withCheckpointing } from '@lowrank/nn';
import type { LossFunction, MeasuredLoss, TokenInput } from './batch.js';
import { lossOver } from './batch.js';
import { gradientScaleFor, scaledGrad } from './gradientScale.js';
import type { OptimizerOptions } from './optimizer.js';
import { stepScalars, updateParameters } from './optimizer.js';
import type { FlatVector } from './parameters.js';

export interface StepOptions<Name extends string = TokenInput> extends OptimizerOptions {
  readonly loss: LossFunction<Name>;
  /** The RNG state of the loss's dropout; each micro-batch gets its own RNG step. */
  readonly random?: RandomState;
  /**
   * Keep only what enters each block of the model, and compute the blocks again in the backward pass: less memory, more
   * time, the same numbers. A number: of the first so many blocks.
   */
  readonly checkpointing?: boolean | number;
}

/** Arguments of a traced function. */
type Inputs = Readonly<Record<string, Tensor>>;

/** The name of the tensors that hold the gradients of a step's micro-batches, as plans show them. */
export const accumulatedGradient = 'accumulatedGradient';

/** Measures are among them under {@link measureOutput}. */
export type Numbers = { loss: Tensor; gradNorm: Tensor; [measure: string]: Tensor };
export type Nothing = Record<never, never>;

/** The name of a measure among a step's outputs. */
export function measureOutput(name: string): string {
  return `measure ${name}`;
}

/** What a micro-batch, or several together, add to a step. */
interface StepParts extends MeasuredLoss {
  readonly gradients: readonly Tensor[];
}

/** The functions that a training step compiles, and the state they share: everything of a step but the device. */
export class StepTraces<Name extends string> {
  readonly optimizer = stepScalars();
  private readonly lossScale = scalar(1, { name: 'lossScale' });
  /** Of gradients on their way through operands of 16 bits. */
  private readonly gradientScale = {
    up: scalar(1, { name: 'gradientScale' }),
    down: scalar(1, { name: 'gradientUnscale' }),
  };
  /** 0 for the first micro-batch of a step, which overwrites what the accumulators held; 1 for the others. */
  readonly carry = scalar(0, { name: 'carry' });
  private readonly health = tensor([1], [], { name: 'health' });
  private accumulators: StepParts | undefined;

  constructor(
    private readonly options: StepOptions<Name>,
    readonly vectors: readonly FlatVector[],
    private readonly precision: Precision = 'f32',
  ) {}

  /** Sets what the loss of a step is divided by: the weight of all its micro-batches. */
  setWeight(weight: number): void {
    this.lossScale.value = 1 / weight;
    this.gradientScale.up.value = gradientScaleFor(weight);
    this.gradientScale.down.value = 1 / gradientScaleFor(weight);
  }

  /** Loss, measures and flat gradients of one micro-batch, divided by the weight of the whole step. */
  gradients(inputs: Inputs): StepParts {
    const { loss: lossOf, checkpointing = false } = this.options;
    const given = withCheckpointing(checkpointing, () => lossOver(lossOf)(inputs));
    const loss = mul(given.loss, this.lossScale);
    const all = scaledGrad(
      loss,
      this.vectors.flatMap(({ views }) => views),
      this.precision === 'mixed' ? this.gradientScale : undefined,
    );
    let next = 0;
    const gradients = this.vectors.map(({ segments, size, shape }) => {
      const own = all.slice(next, (next += segments.length));
      return scope('optimizer', () =>
        shape.length === 1
          ? packAt(
              own,
              segments.map(({ offset }) => offset),
              size,
            )
          : onlyOne(own),
      );
    });
    const measures = mapped(given.measures, (measure) => reshape(mul(measure, this.lossScale), []));
    return { loss: reshape(loss, []), measures, gradients };
  }

  /** A step over one micro-batch. */
  whole(inputs: Inputs): Numbers {
    return this.optimize(this.gradients(inputs));
  }

  /** One micro-batch of several: adds its loss and gradients to the accumulators. */
  accumulate(inputs: Inputs): Nothing {
    const { loss, measures, gradients } = this.gradients(inputs);
    const totals = this.totals(measures);
    const addTo = (total: Tensor, value: Tensor): void => assign(total, add(where(this.carry, total, 0), value));
    scope('accumulate', () => {
      addTo(totals.loss, loss);
      for (const [name, total] of Object.entries(totals.measures)) addTo(total, measures[name] ?? total);
      totals.gradients.forEach((total, at) => addTo(total, gradients[at] ?? total));
    });
    return {};
  }

  /** The optimizer step over what the micro-batches accumulated. */
  update(): Numbers {
    return this.optimize(this.totals());
  }

  /** Forgets that a number was not finite: for weights from before it. */
  heal(): void {
    sourceOf(this.health).write(Float32Array.of(1));
  }

  /** Frees the state, but not the vectors. */
  dispose(): void {
    const { loss, measures, gradients } = this.accumulators ?? { loss: undefined, measures: {}, gradients: [] };
    for (const owned of [this.health, loss, ...Object.values(measures), ...gradients]) owned?.dispose();
  }

  private optimize({ loss, measures, gradients }: StepParts): Numbers {
    const { health, vectors, optimizer, options } = this;
    const squared = updateParameters({ vectors, gradients, loss, health, scalars: optimizer, options });
    const named = Object.entries(measures).map(([name, measure]) => [measureOutput(name), measure] as const);
    return { ...Object.fromEntries(named), loss, gradNorm: sqrt(squared) };
  }

  private totals(measures: MeasuredLoss['measures'] = {}): StepParts {
    this.accumulators ??= {
      loss: persistent([], { name: 'accumulatedLoss' }),
      measures: mapped(measures, () => persistent([], { name: 'accumulatedMeasure' })),
      gradients: this.vectors.map(({ shape }) => persistent(shape, { name: accumulatedGradient })),
    };
    return this.accumulators;
  }
}

function mapped(tensors: Readonly<Record<string, Tensor>>, change: (tensor: Tensor) => Tensor): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, change(tensor)]));
}

/** The gradient of a vector that is one large parameter. */
function onlyOne([gradient]: readonly Tensor[]): Tensor {
  if (gradient === undefined) throw new TypeError('a vector without a parameter');
  return gradient;
}
