import type { Rng, Tensor } from '@lowrank/tensor';
import { add, linear } from '@lowrank/tensor';
import { aBoolean, aTensor, optional, options, shapeError, showShape, signature } from '@lowrank/tensor/op';
import { anRng, aSize, aWeight } from './arguments.js';
import { uniform } from './initial.js';
import type { LinearLike } from './module.js';
import { Module } from './module.js';
import { Parameter } from './parameter.js';
import type { Projection, ProjectionParts } from './projection.js';
import { biasTerms } from './projection.js';

/** Options of a `Linear` whose weights are drawn. */
export interface LinearOptions {
  /** Where the weights come from. */
  rng: Rng;
  /** Whether there is a bias; true by default. */
  bias?: boolean;
}

const checkSizes = signature('new Linear', {
  inFeatures: aSize,
  outFeatures: aSize,
  options: options({ rng: anRng, bias: aBoolean }, { required: ['rng'] }),
});
const checkWeights = signature('new Linear', { weight: aWeight, bias: optional(aTensor) });

/**
 * y = x·Wᵀ (+ b), with W [out, in] in f32, f16 or bf16 and b [out] in f32, as torch.nn.Linear.
 *
 * `new Linear(inFeatures, outFeatures, { rng })` begins as PyTorch's: W and b uniform in ±1/√inFeatures.
 * `new Linear(weight, bias)` takes weights that exist.
 */
export class Linear extends Module implements LinearLike, Projection {
  readonly weight: Parameter;
  readonly bias: Parameter | undefined;

  constructor(weight: Tensor | Parameter, bias?: Tensor);
  constructor(inFeatures: number, outFeatures: number, options: LinearOptions);
  constructor(first: Tensor | Parameter | number, second?: Tensor | number, options?: LinearOptions) {
    super();
    const { weight, bias } = weightsOf(first, second, options);
    this.weight = this.parameter('weight', weight instanceof Parameter ? weight : new Parameter(weight));
    this.bias = bias === undefined ? undefined : this.parameter('bias', new Parameter(bias));
    const { shape } = this.weight.tensor;
    if (shape.length !== 2 || (bias !== undefined && bias.shape.join() !== `${shape[0]}`)) {
      throw shapeError(
        'Linear',
        'a weight [out, in] and a bias [out]',
        `${showShape(shape)} and ${showShape(bias?.shape ?? [])}`,
      );
    }
  }

  get outFeatures(): number {
    return this.weight.tensor.shape[0] ?? 0;
  }

  get inFeatures(): number {
    return this.weight.tensor.shape[1] ?? 0;
  }

  /** x […, in] → […, out] */
  forward(x: Tensor): Tensor {
    const y = linear(x, this.weight.tensor);
    return this.bias === undefined ? y : add(y, this.bias.tensor);
  }

  parts(x: Tensor): ProjectionParts {
    return { weight: this.weight.tensor, terms: biasTerms(x, this.bias) };
  }
}

function weightsOf(
  first: Tensor | Parameter | number,
  second: Tensor | number | undefined,
  options: LinearOptions | undefined,
): { weight: Tensor | Parameter; bias: Tensor | undefined } {
  if (typeof first !== 'number') {
    checkWeights(first, second);
    return { weight: first, bias: second as Tensor | undefined };
  }
  checkSizes(first, second, options);
  const { rng, bias = true } = options as LinearOptions;
  const outFeatures = second as number;
  const bound = 1 / Math.sqrt(first);
  return {
    weight: uniform([outFeatures, first], bound, rng),
    bias: bias ? uniform([outFeatures], bound, rng) : undefined,
  };
}
