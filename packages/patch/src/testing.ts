import { LoraLinear } from '@lowrank/lora';
import type { LoraAdapter, LoraMatrices } from '@lowrank/lora';
import { Embedding, Linear, Module, ModuleList, Parameter } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { reshape, Rng, tensor } from '@lowrank/tensor';
import { evaluateReference, sourceOf } from '@lowrank/tensor/op';

export const width = 6;

export function random(seed: number, shape: readonly number[]): Tensor {
  const rng = new Rng(seed);
  return tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.normal()),
    shape,
  );
}

class SelfAttention extends Module {
  constructor(seed: number) {
    super();
    this.child('q_proj', new Linear(random(seed, [width, width])));
    this.child('v_proj', new Linear(random(seed + 1, [width, width])));
  }

  forward(x: Tensor): Tensor {
    return this.layer('v_proj').forward(this.layer('q_proj').forward(x));
  }
}

class Block extends Module {
  constructor(seed: number) {
    super();
    this.child('self_attn', new SelfAttention(seed));
    this.child('down_proj', new Linear(random(seed + 2, [width, width])));
  }

  forward(x: Tensor): Tensor {
    return this.layer('down_proj').forward(this.layer('self_attn').forward(x));
  }
}

class Body extends Module {
  readonly layers: ModuleList<Block>;
  readonly norm: Parameter;

  constructor() {
    super();
    this.child('embed_tokens', new Embedding(random(1, [9, width])));
    this.layers = this.child('layers', new ModuleList([0, 1, 2].map((at) => new Block(10 * (at + 1)))));
    this.norm = this.parameter('norm', new Parameter(tensor(new Float32Array(width).fill(1))));
  }

  embed(ids: Tensor): Tensor {
    return this.layer('embed_tokens').forward(ids);
  }
}

/** A model in miniature, with a transformer's names: three blocks of linear layers between embeddings. */
export class TinyModel extends Module {
  override readonly outputPath: string = 'lm_head';
  private readonly body = this.child('model', new Body());

  constructor() {
    super();
    this.child('lm_head', new Linear(random(2, [9, width])));
  }

  forward(): Tensor {
    const ids = tensor(Int32Array.of(0, 3, 8, 1), [4]);
    const hidden = this.body.layers.items.reduce((x, block) => block.forward(x), this.body.embed(ids));
    return this.layer('lm_head').forward(reshape(hidden, [4, width]));
  }
}

export async function logitsOf(model: TinyModel): Promise<Float64Array> {
  return (await evaluateReference([model.forward()]))[0] ?? new Float64Array();
}

/** Numbers in place of the zeros of an adapter's B, so that it does something. */
export function stir(model: Module, name = 'default', seed = 5): void {
  let at = 0;
  for (const [, module] of model.namedModules()) {
    const weights = module instanceof LoraLinear ? module.adapters.get(name) : undefined;
    if (weights === undefined) continue;
    const rng = new Rng(seed, at++);
    sourceOf(weights.b.tensor).write(Float32Array.from({ length: weights.b.tensor.size }, () => 0.3 * rng.normal()));
  }
}

/** An adapter of random numbers for these layers. */
export function randomAdapter(
  config: LoraAdapter['config'],
  paths: readonly string[],
  { rank = config.r, seed = 1 } = {},
): LoraAdapter {
  const layers = new Map<string, LoraMatrices>();
  paths.forEach((path, at) => {
    const rng = new Rng(seed, at);
    const draw = (): Float32Array => Float32Array.from({ length: rank * width }, () => 0.3 * rng.normal());
    layers.set(path, { a: draw(), b: draw(), rank, inFeatures: width, outFeatures: width });
  });
  return { config, layers };
}

export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Math.max(...Array.from(a, (value, at) => Math.abs(value - (b[at] ?? NaN))));
}
