import type { Layer } from '@lowrank/nn';
import { Module, Parameter } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { add, matmul, mul, persistent } from '@lowrank/tensor';
import { scope, sourceOf } from '@lowrank/tensor/op';
import { withoutBias } from '../withoutBias.js';
import type { BankEntry } from './entry.js';
import type { BankMix } from './mix.js';

/** What adapters in a bank may have besides A and B. Each costs every layer a little, so none is on by default. */
export interface BankAbilities {
  /** Biases of B (`lora_bias`). */
  readonly loraBias?: boolean | undefined;
  /** A factor on W + ΔW for each output, as DoRA's. */
  readonly factors?: boolean | undefined;
}

/**
 * A layer with a bank of adapters for serving: slots of one rank R, stacked, whose numbers are data of the plan.
 *
 *     y = base(x) + ((x·Aᵀ) ⊙ mix)·B
 *
 * with A of all slots [slots·R, in], B [slots·R, out] and the mix of x's row, each weight of which stands for R
 * columns. The factor alpha/r is in B already. With biases `mix·bias` [slots, out] is added, with factors `mix·(f − 1)`
 * times what the base gives without its bias. A slot that nothing was written to is zero and adds nothing.
 */
export abstract class LoraBankLayer extends Module implements Layer {
  /** [slots·R, out]; the rows of a slot lie together, so that it is written by one copy. */
  protected readonly up: Tensor;
  private readonly bias: Tensor | undefined;
  private readonly factor: Tensor | undefined;
  private readonly filled = new Set<number>();

  /** @param width outputs of the base */
  constructor(
    readonly base: Layer,
    protected readonly mix: BankMix,
    private readonly width: number,
    { loraBias = false, factors = false }: BankAbilities,
  ) {
    super();
    const { slots, rank } = mix.sizes;
    this.child('base_layer', base);
    this.up = this.held('bank_B', [slots * rank, width]);
    this.bias = loraBias ? this.held('bank_bias', [slots, width]) : undefined;
    this.factor = factors ? this.held('bank_factor', [slots, width]) : undefined;
  }

  /** x·Aᵀ of all slots […, slots·R] */
  protected abstract shrink(x: Tensor): Tensor;
  protected abstract writeDown(slot: number, values: Float32Array): void;

  forward(x: Tensor): Tensor {
    const base = this.base.forward(x);
    return scope('bank', () => {
      let y = base;
      if (this.factor !== undefined) y = add(y, mul(this.mix.sum(this.factor, y), withoutBias(this.base, base)));
      if (this.bias !== undefined) y = add(y, this.mix.sum(this.bias, y));
      return add(y, matmul(this.mix.weigh(this.shrink(x)), this.up));
    });
  }

  /** Puts an adapter's numbers into a slot, or zeros: copies alone, nothing is made on the device. */
  write(slot: number, entry: BankEntry | undefined): void {
    if (entry === undefined && !this.filled.has(slot)) return;
    const { rank } = this.mix.sizes;
    if (entry !== undefined) this.writeDown(slot, entry.down);
    for (const [tensor, values, size] of [
      [this.up, entry?.up, rank],
      [this.bias, entry?.bias, 1],
      [this.factor, entry?.factor, 1],
    ] as const) {
      if (tensor !== undefined)
        sourceOf(tensor).write(values ?? new Float32Array(size * this.width), 4 * slot * size * this.width);
    }
    if (entry === undefined) this.filled.delete(slot);
    else this.filled.add(slot);
  }

  /** Frees everything but the base. */
  disposeBank(): void {
    for (const { tensor } of this.ownParameters().values()) tensor.dispose();
  }

  protected held(name: string, shape: readonly number[]): Tensor {
    return this.parameter(name, new Parameter(persistent(shape, { name }), false)).tensor;
  }
}
