import {
  Attention,
  Embedding,
  GatedMlp,
  LayerNorm,
  Linear,
  Module,
  ModuleList,
  PreNormLayer,
  RmsNorm,
  RotaryTable,
} from '@lowrank/nn';
import type { Layer } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { mul, reshape, Rng, tensor } from '@lowrank/tensor';
import { evaluateReference } from '@lowrank/tensor/op';
import type { ModelSizes } from './method.js';

const [width, heads, keyHeads, headSize, inner] = [6, 2, 1, 4, 5];

export function random(seed: number, shape: readonly number[]): Tensor {
  const rng = new Rng(seed);
  return tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => 0.5 * rng.normal()),
    shape,
  );
}

export interface TinyOptions {
  /** LayerNorms and biases everywhere. */
  readonly biased?: boolean;
  readonly scale?: number;
}

class Body extends Module {
  readonly layers: ModuleList<PreNormLayer>;

  constructor({ biased = false }: TinyOptions, size: number) {
    super();
    let seed = 10;
    const norm = (): Layer =>
      biased
        ? new LayerNorm({ weight: random(seed++, [width]), bias: random(seed++, [width]) }, 1e-5)
        : new RmsNorm(random(seed++, [width]), 1e-6);
    const linear = (out: number, input: number): Linear =>
      new Linear(random(seed++, [out, input]), biased ? random(seed++, [out]) : undefined);
    const rotary = new RotaryTable({ size: headSize, theta: 100, maxPositions: 16 });
    const layer = (): PreNormLayer =>
      new PreNormLayer({
        inputNorm: norm(),
        attention: new Attention(
          {
            q: linear(heads * headSize, width),
            k: linear(keyHeads * headSize, width),
            v: linear(keyHeads * headSize, width),
            o: linear(width, heads * headSize),
          },
          { heads, keyHeads, headSize, rotary },
        ),
        outputNorm: norm(),
        mlp: new GatedMlp({ gate: linear(inner, width), up: linear(inner, width), down: linear(width, inner) }, 'silu'),
      });
    this.child('embed_tokens', new Embedding(random(1, [size, width])));
    this.layers = this.child('layers', new ModuleList([layer(), layer()]));
  }

  forward(ids: Tensor, positions: Tensor, scale: number): Tensor {
    const embedded = this.layer('embed_tokens').forward(ids);
    return this.layers.items.reduce(
      (x, layer) => layer.forward(x, { positions }),
      scale === 1 ? embedded : mul(embedded, scale),
    );
  }
}

/** A decoder in miniature, as the methods see one. */
export class TinyModel extends Module {
  readonly shape: ModelSizes = {
    modelType: 'llama',
    vocabularySize: 9,
    hiddenSize: width,
    layers: 2,
    heads,
    keyHeads,
    headSize,
    maxPositions: 16,
  };
  override readonly outputPath = 'lm_head';
  readonly residualWriters = ['o_proj', 'down_proj'];
  readonly defaultTargets = ['q_proj', 'v_proj'];
  readonly embeddingScale: number;
  virtualTokens = 0;
  private readonly body: Body;

  constructor(options: TinyOptions = {}) {
    super();
    this.embeddingScale = options.scale ?? 1;
    this.body = this.child('model', new Body(options, this.shape.vocabularySize));
    this.child('lm_head', new Linear(random(2, [this.shape.vocabularySize, width])));
  }

  /** Of one document, virtual tokens put before it: hidden states [T, width] of all of them. */
  forward(tokens: readonly number[]): Tensor {
    const ids = [...Array.from({ length: this.virtualTokens }, (_, at) => this.shape.vocabularySize + at), ...tokens];
    const row = (values: readonly number[]): Tensor => tensor(Int32Array.from(values), [1, values.length]);
    const hidden = this.body.forward(row(ids), row(ids.map((_, at) => at)), this.embeddingScale);
    return reshape(hidden, [ids.length, width]);
  }
}

/** Hidden states of a document's own tokens. */
export async function hiddenOf(model: TinyModel, tokens: readonly number[] = [3, 1, 8, 0]): Promise<Float64Array> {
  const [values = new Float64Array()] = await evaluateReference([model.forward(tokens)]);
  return values.subarray(model.virtualTokens * width);
}

/** The paths of what is trained. */
export function trainable(model: TinyModel): string[] {
  return [...model.namedParameters()].flatMap(([name, parameter]) => (parameter.trainable ? [name] : [])).sort();
}
