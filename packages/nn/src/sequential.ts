import type { Tensor } from '@lowrank/tensor';
import { aFunction, kind, signature } from '@lowrank/tensor/op';
import type { Layer } from './module.js';
import { isLayer, Module } from './module.js';

/** A layer, or a function such as `relu` that has no parameters. */
export type SequentialStep = Layer | ((x: Tensor) => Tensor);

const checkStep = signature('new Sequential', {
  step: kind(
    'a layer or a function',
    (value) => (value instanceof Module && isLayer(value)) || aFunction.accepts(value),
  ),
});

/**
 * Steps one after another, as torch.nn.Sequential. A layer is a child under its place among all steps: in
 * `new Sequential(fc1, relu, fc2)` fc2 is `2`, as in PyTorch, where relu is a module.
 */
export class Sequential extends Module implements Layer {
  /** The functions among the steps; a layer's place holds undefined, since an adapter may replace the layer. */
  readonly #functions: readonly (((x: Tensor) => Tensor) | undefined)[];

  constructor(...steps: readonly SequentialStep[]) {
    super();
    this.#functions = steps.map((step, at) => {
      checkStep(step);
      if (typeof step === 'function') return step;
      this.child(String(at), step);
      return undefined;
    });
  }

  forward(x: Tensor): Tensor {
    return this.#functions.reduce(
      (value, fn, at) => (fn === undefined ? this.layer(String(at)).forward(value) : fn(value)),
      x,
    );
  }
}
