import type { Tensor } from '@lowrank/tensor';
import type { Layer, LinearLike } from './module.js';
import { Module } from './module.js';

/** The two layers of a block, each under its checkpoint's name. */
export interface MlpLayers {
  readonly up: readonly [name: string, layer: LinearLike];
  readonly down: readonly [name: string, layer: LinearLike];
}

/** down(f(up(x))): the feed-forward block of the first transformers (Vaswani et al. 2017). */
export class Mlp extends Module implements Layer {
  constructor(
    private readonly layers: MlpLayers,
    private readonly activation: (x: Tensor) => Tensor,
  ) {
    super();
    for (const [name, layer] of [layers.up, layers.down]) this.child(name, layer);
  }

  forward(x: Tensor): Tensor {
    const { up, down } = this.layers;
    return this.layer(down[0]).forward(this.activation(this.layer(up[0]).forward(x)));
  }
}
