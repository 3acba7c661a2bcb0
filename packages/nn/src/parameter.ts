import { LowrankError } from '@lowrank/errors';
import type { Tensor } from '@lowrank/tensor';

/**
 * A place that holds a tensor of weights. Layers read `parameter.tensor` whenever they are traced, so that the trainer
 * may replace it by a view of a flat vector, a loader by another dtype, and an adapter by a copy of its own.
 */
export class Parameter {
  #held: Tensor;
  #rule: ((held: Tensor) => Tensor) | undefined;
  /** What may stand here instead, by the name of the adapter that it belongs to. */
  readonly copies = new Map<string, Parameter>();
  /** Whose copy does. */
  active: string | undefined;

  constructor(
    held: Tensor,
    public trainable = true,
  ) {
    this.#held = held;
  }

  /** The tensor that was put here, whatever is derived from it. */
  get stored(): Tensor {
    return this.#held;
  }

  /** What the model itself has here, stored or derived, whichever copy stands in its place. */
  get own(): Tensor {
    return this.#rule?.(this.#held) ?? this.#held;
  }

  /** @throws LowrankError `nn.derived` while the parameter is derived */
  set own(value: Tensor) {
    if (this.#rule !== undefined)
      throw new LowrankError({
        code: 'nn.derived',
        what: 'a parameter that is computed from another tensor',
        expected: 'a stored value to replace',
        got: 'a rule',
        remedy: 'Remove the rule first, with derive(undefined).',
      });
    this.#held = value;
  }

  /** What layers compute with. */
  get tensor(): Tensor {
    return (this.active === undefined ? undefined : this.copies.get(this.active)?.tensor) ?? this.own;
  }

  set tensor(value: Tensor) {
    this.own = value;
  }

  get isDerived(): boolean {
    return this.#rule !== undefined;
  }

  /**
   * From now on `own` is `rule(stored)`, traced again at every use; undefined ends that. Like a parametrization in
   * PyTorch: the layer does not know.
   */
  derive(rule: ((stored: Tensor) => Tensor) | undefined): void {
    this.#rule = rule;
  }

  /** Frees what is stored here, and every copy. */
  dispose(): void {
    this.#held.dispose();
    this.disposeCopies();
  }

  protected disposeCopies(): void {
    for (const copy of this.copies.values()) copy.dispose();
  }
}
