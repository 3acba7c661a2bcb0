import type { Rng, Tensor } from '@lowrank/tensor';
import { embedding } from '@lowrank/tensor';
import { aTensor, options, shapeError, showShape, signature } from '@lowrank/tensor/op';
import { anRng, aSize } from './arguments.js';
import { normal } from './initial.js';
import type { Layer } from './module.js';
import { Module } from './module.js';
import { Parameter } from './parameter.js';

const checkSizes = signature('new Embedding', {
  rows: aSize,
  width: aSize,
  options: options({ rng: anRng }, { required: ['rng'] }),
});
const checkTable = signature('new Embedding', { weight: aTensor });

/**
 * Rows of a table [V, D] (f32, f16 or bf16) by token id, as torch.nn.Embedding. `new Embedding(rows, width, { rng })`
 * begins as PyTorch's, standard normal; `new Embedding(weight)` takes a table that exists.
 */
export class Embedding extends Module implements Layer {
  readonly weight: Parameter;

  constructor(weight: Tensor);
  constructor(rows: number, width: number, options: { rng: Rng });
  constructor(first: Tensor | number, width?: number, options?: { rng: Rng }) {
    super();
    if (typeof first === 'number') checkSizes(first, width, options);
    else checkTable(first);
    const weight = typeof first === 'number' ? normal([first, width as number], (options as { rng: Rng }).rng) : first;
    if (weight.shape.length !== 2) throw shapeError('Embedding', 'a table [V, D]', showShape(weight.shape));
    this.weight = this.parameter('weight', new Parameter(weight));
  }

  /** ids i32 [B, T] → [B, T, D]. Ids outside the table must be refused before. */
  forward(ids: Tensor): Tensor {
    return embedding(this.weight.tensor, ids);
  }
}
