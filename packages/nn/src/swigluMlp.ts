import type { Tensor } from '@lowrank/tensor';
import { swiglu } from '@lowrank/tensor';
import type { Layer, LinearLike } from './module.js';
import { Module } from './module.js';

/** down(silu(gate(x))·up(x)) (Shazeer 2020): the feed-forward block of Llama and its relatives. */
export class SwigluMlp extends Module implements Layer {
  constructor({ gate, up, down }: { gate: LinearLike; up: LinearLike; down: LinearLike }) {
    super();
    this.child('gate_proj', gate);
    this.child('up_proj', up);
    this.child('down_proj', down);
  }

  forward(x: Tensor): Tensor {
    const hidden = swiglu(this.layer('gate_proj').forward(x), this.layer('up_proj').forward(x));
    return this.layer('down_proj').forward(hidden);
  }
}
