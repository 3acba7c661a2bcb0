import type { Tensor } from '@lowrank/tensor';
import { geluTanh, mul, slice, swiglu } from '@lowrank/tensor';
import type { Layer, LinearLike } from './module.js';
import { Module } from './module.js';

/** f(gate)·up by the name that Hugging Face gives f. */
export const gatedActivations = {
  silu: swiglu,
  gelu_pytorch_tanh: (gate: Tensor, up: Tensor): Tensor => mul(geluTanh(gate), up),
} as const satisfies Record<string, (gate: Tensor, up: Tensor) => Tensor>;

/** The activation of a gated MLP: `silu` makes SwiGLU, the others GeGLU. */
export type GatedActivation = keyof typeof gatedActivations;

/** The layers of a gated block; `gateUp` is one layer of the gate's, then the other rows: `gate_up_proj`. */
export type GatedMlpLayers = (
  | { readonly gate: LinearLike; readonly up: LinearLike }
  | { readonly gateUp: LinearLike }
) & { readonly down: LinearLike };

/**
 * down(f(gate(x))·up(x)) (Shazeer 2020): the feed-forward block of Llama and its relatives (f = silu), and of Gemma (f
 * = gelu).
 */
export class GatedMlp extends Module implements Layer {
  private readonly fused: boolean;

  constructor(
    layers: GatedMlpLayers,
    private readonly activation: GatedActivation = 'silu',
  ) {
    super();
    this.fused = 'gateUp' in layers;
    if ('gateUp' in layers) this.child('gate_up_proj', layers.gateUp);
    else {
      this.child('gate_proj', layers.gate);
      this.child('up_proj', layers.up);
    }
    this.child('down_proj', layers.down);
  }

  forward(x: Tensor): Tensor {
    const [gate, up] = this.halves(x);
    return this.layer('down_proj').forward(gatedActivations[this.activation](gate, up));
  }

  private halves(x: Tensor): readonly [gate: Tensor, up: Tensor] {
    if (!this.fused) return [this.layer('gate_proj').forward(x), this.layer('up_proj').forward(x)];
    const both = this.layer('gate_up_proj').forward(x);
    const axis = both.shape.length - 1;
    const width = (both.shape[axis] ?? 0) / 2;
    return [slice(both, axis, 0, width), slice(both, axis, width, 2 * width)];
  }
}
