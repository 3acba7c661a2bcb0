import type { Tensor } from '@lowrank/tensor';
import { matmul, mul, persistent, reshape } from '@lowrank/tensor';
import { rows, shapeError, sourceOf } from '@lowrank/tensor/op';

/** The sizes of a bank of adapters, fixed when its plans are made. */
export interface BankSizes {
  /** Rows of a batch that may differ; 1: all rows use the same. */
  readonly rows: number;
  /** Adapters that are held at a time. */
  readonly slots: number;
  /** Every slot's rank: adapters of smaller ranks are filled up with zeros. */
  readonly rank: number;
}

/**
 * With what weight each row of a batch uses each slot of a bank: f32 [rows, slots], one for all layers of a model. It
 * is data of every plan over them and no argument of `forward`: to set, sum, weigh and switch off adapters, row by row,
 * is to write these few numbers.
 */
export class BankMix {
  readonly weights: Tensor;

  constructor(readonly sizes: BankSizes) {
    this.weights = persistent([sizes.rows, sizes.slots], { name: 'adapter mix' });
  }

  /** Takes effect before any run that is asked for later. @param values [rows, slots] */
  write(values: Float32Array): void {
    sourceOf(this.weights).write(values);
  }

  /** h […, slots·rank], each slot's part times the weight that its row gives it. */
  weigh(h: Tensor): Tensor {
    const { slots, rank } = this.sizes;
    const [lead, own] = [h.shape.slice(0, -1), this.rowsFor(h)];
    const weights = reshape(own, [own.shape[0] ?? 1, ...lead.slice(1).map(() => 1), slots, 1]);
    return reshape(mul(reshape(h, [...lead, slots, rank]), weights), h.shape);
  }

  /** Σ over the slots of a row's weight · table[slot], as [B, 1, …, width] to go with y. @param table [slots, width] */
  sum(table: Tensor, y: Tensor): Tensor {
    const own = this.rowsFor(y);
    return reshape(matmul(own, table), [own.shape[0] ?? 1, ...y.shape.slice(1, -1).map(() => 1), table.shape[1] ?? 0]);
  }

  dispose(): void {
    this.weights.dispose();
  }

  /** The weights of the rows of a batch: x's first axis. */
  private rowsFor(x: Tensor): Tensor {
    const { rows: most } = this.sizes;
    const [batch = 1] = x.shape;
    if (most === 1) return this.weights;
    if (batch > most)
      throw shapeError(
        'a bank of adapters',
        `a batch of at most ${most} rows`,
        String(batch),
        'Open the bank with as many rows as the largest batch.',
      );
    return batch === most ? this.weights : rows(this.weights, 0, batch);
  }
}
