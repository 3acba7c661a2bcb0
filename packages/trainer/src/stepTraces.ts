import type { RandomState, Tensor } from '@lowrank/tensor';
import { add, assign, grad, mul, persistent, reshape, scalar, where, sqrt, tensor } from '@lowrank/tensor';
import { packAt, scope } from '@lowrank/tensor/op';
import { withCheckpointing } from '@lowrank/nn';
import type { BatchTensors, LossFunction } from './batch.js';
import type { AdamwOptions } from './optimizer.js';
import { optimizerScalars, updateParameters } from './optimizer.js';
import type { FlatVector } from './parameters.js';

export interface StepOptions extends AdamwOptions {
  readonly loss: LossFunction;
  /** What the loss draws dropout from; each batch gets a step of its own. */
  readonly random?: RandomState;
  /**
   * Keep only what enters each block of the model, and compute the blocks again in the backward pass: less memory, more
   * time, the same numbers.
   */
  readonly checkpointing?: boolean;
}

export type Numbers = { loss: Tensor; gradNorm: Tensor };
export type Nothing = Record<never, never>;

/** The functions that a training step compiles, and the state they share: everything of a step but the device. */
export class StepTraces {
  readonly optimizer = optimizerScalars();
  readonly lossScale = scalar(1, { name: 'lossScale' });
  /** 0 for the first batch of a window: what the accumulators held is forgotten. */
  readonly carry = scalar(0, { name: 'carry' });
  private readonly health = tensor([1], [], { name: 'health' });
  private accumulators: { loss: Tensor; gradients: Tensor[] } | undefined;

  constructor(
    private readonly options: StepOptions,
    readonly vectors: readonly FlatVector[],
  ) {}

  /** Loss and flat gradients of one batch, divided by the label tokens of its window. */
  gradients(batch: BatchTensors): { loss: Tensor; gradients: Tensor[] } {
    const { loss: lossOf, checkpointing = false } = this.options;
    const loss = mul(
      withCheckpointing(checkpointing, () => lossOf(batch)),
      this.lossScale,
    );
    const all = grad(
      loss,
      this.vectors.flatMap(({ views }) => views),
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
    return { loss: reshape(loss, []), gradients };
  }

  /** A step over one batch. */
  whole(batch: BatchTensors): Numbers {
    return this.optimize(this.gradients(batch));
  }

  /** One batch of several. */
  part(batch: BatchTensors): Nothing {
    const { loss, gradients } = this.gradients(batch);
    const totals = this.totals();
    const accumulate = (total: Tensor, value: Tensor): void => assign(total, add(where(this.carry, total, 0), value));
    scope('accumulate', () => {
      accumulate(totals.loss, loss);
      totals.gradients.forEach((total, at) => accumulate(total, gradients[at] ?? total));
    });
    return {};
  }

  /** What follows the parts. */
  update(): Numbers {
    return this.optimize(this.totals());
  }

  /** Frees the state, but not the vectors. */
  dispose(): void {
    const { loss, gradients } = this.accumulators ?? { loss: undefined, gradients: [] };
    for (const owned of [this.health, loss, ...gradients]) owned?.dispose();
  }

  private optimize({ loss, gradients }: { loss: Tensor; gradients: readonly Tensor[] }): Numbers {
    const { health, vectors, optimizer, options } = this;
    const squared = updateParameters({ vectors, gradients, loss, health, scalars: optimizer, options });
    return { loss, gradNorm: sqrt(squared) };
  }

  private totals(): { loss: Tensor; gradients: Tensor[] } {
    this.accumulators ??= {
      loss: persistent([], { name: 'windowLoss' }),
      gradients: this.vectors.map(({ shape }) => persistent(shape, { name: 'windowGradient' })),
    };
    return this.accumulators;
  }
}

/** The gradient of a vector that is one large parameter. */
function onlyOne([gradient]: readonly Tensor[]): Tensor {
  if (gradient === undefined) throw new TypeError('a vector without a parameter');
  return gradient;
}
