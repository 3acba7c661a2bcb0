import type { Tensor } from '@lowrank/tensor';
import { Linear } from './linear.js';
import { Parameter } from './parameter.js';

/**
 * The place of another parameter's own tensor: what stands in the other's place does not show here, nor the reverse.
 */
export class TiedParameter extends Parameter {
  constructor(readonly source: Parameter) {
    super(source.own, false);
  }

  override get own(): Tensor {
    return this.source.own;
  }

  override set own(value: Tensor) {
    this.source.own = value;
  }

  override get isDerived(): boolean {
    return this.source.isDerived;
  }

  /** Frees the copies alone: the table is the source's. */
  override dispose(): void {
    this.disposeCopies();
  }
}

/**
 * An output projection whose weight is an embedding's table (Press and Wolf 2017). It is a layer of the tree, so that
 * adapters find it, and has no parameter of its own.
 */
export class TiedLinear extends Linear {
  readonly source: Parameter;

  constructor(table: Parameter) {
    super(new TiedParameter(table));
    this.source = this.borrowed(table);
    this.dropParameter('weight');
  }

  protected override heldParameters(): Parameter[] {
    return [this.weight];
  }
}
