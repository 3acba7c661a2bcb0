import type { LinearLike } from '@lowrank/nn';
import { Module, Parameter } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { add, gelu, linear } from '@lowrank/tensor';

/** One bottleneck: D [b, width], its bias [b], U [width, b], its bias [width]. */
export interface BottleneckWeights {
  readonly down: Tensor;
  readonly downBias: Tensor;
  readonly up: Tensor;
  readonly upBias: Tensor;
}

/**
 * h = base(x), then h + U·gelu(D·h + b_d) + b_u: a bottleneck with a skip connection, after a layer (Houlsby et al.
 * 2019).
 */
export class BottleneckLayer extends Module implements LinearLike {
  readonly weights: ReadonlyMap<string, Parameter>;

  constructor(
    readonly base: LinearLike,
    { down, downBias, up, upBias }: BottleneckWeights,
  ) {
    super();
    this.child('base_layer', base);
    this.weights = new Map(
      Object.entries({
        'adapter_down.weight': down,
        'adapter_down.bias': downBias,
        'adapter_up.weight': up,
        'adapter_up.bias': upBias,
      }).map(([name, value]) => [name, this.parameter(name, new Parameter(value))]),
    );
  }

  get inFeatures(): number {
    return this.base.inFeatures;
  }

  get outFeatures(): number {
    return this.base.outFeatures;
  }

  /** x […, in] → […, out] */
  forward(x: Tensor): Tensor {
    const h = this.base.forward(x);
    const inner = gelu(add(linear(h, this.now('adapter_down.weight')), this.now('adapter_down.bias')));
    return add(h, add(linear(inner, this.now('adapter_up.weight')), this.now('adapter_up.bias')));
  }

  private now(name: string): Tensor {
    const parameter = this.weights.get(name);
    if (parameter === undefined) throw new TypeError(name);
    return parameter.tensor;
  }
}
