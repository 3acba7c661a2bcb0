import type { Embedding } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { concat, embedding } from '@lowrank/tensor';
import { sourceOf } from '@lowrank/tensor/op';
import type { BankAbilities } from './layer.js';
import { LoraBankLayer } from './layer.js';
import type { BankMix } from './mix.js';

/**
 * An embedding with a bank of adapters: each slot has a table Aᵀ [vocabulary, R] of its own, whose rows are looked up
 * by id. An output projection that is tied to the base stays as it is.
 */
export class LoraBankEmbedding extends LoraBankLayer {
  private readonly tables: readonly Tensor[];

  constructor(
    override readonly base: Embedding,
    mix: BankMix,
    abilities: BankAbilities = {},
  ) {
    const [vocabulary = 0, width = 0] = base.weight.tensor.shape;
    super(base, mix, width, abilities);
    this.tables = Array.from({ length: mix.sizes.slots }, (_, slot) =>
      this.held(`bank_A.${slot}`, [vocabulary, mix.sizes.rank]),
    );
  }

  protected shrink(ids: Tensor): Tensor {
    return concat(
      this.tables.map((table) => embedding(table, ids)),
      -1,
    );
  }

  protected writeDown(slot: number, values: Float32Array): void {
    const table = this.tables[slot];
    if (table !== undefined) sourceOf(table).write(values);
  }
}
