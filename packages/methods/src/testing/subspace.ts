import { Linear, Module, ModuleList, Parameter } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { cast, fromNumbers, Rng, sub, tensor } from '@lowrank/tensor';
import { evaluateReference } from '@lowrank/tensor/op';
import type { Subspace } from '../injectSubspace.js';

export function numbers(seed: number, count: number): Float32Array {
  const rng = new Rng(seed);
  return Float32Array.from({ length: count }, () => rng.normal());
}

class Block extends Module {
  constructor(seed: number) {
    super();
    this.child('proj', new Linear(tensor(numbers(seed, 30), [5, 6]), tensor(numbers(seed + 1, 5))));
  }
}

/**
 * Two numbered layers, a norm, and a matrix in bf16 that is tied to a second place: 2·(30 + 5) + 7 + 36 = 113 elements.
 */
export class SmallModel extends Module {
  constructor() {
    super();
    const shared = new Parameter(tensor(fromNumbers(numbers(9, 36), 'bf16'), [6, 6], { dtype: 'bf16' }));
    this.child('embed', new Linear(shared));
    this.child('layers', new ModuleList([new Block(1), new Block(3)]));
    this.parameter('norm', new Parameter(tensor(numbers(5, 7))));
    this.child('head', new Linear(shared));
  }
}

/** θ − θ₀ of all weights, one after another, in double precision. */
export async function moved({ weights, size }: Pick<Subspace, 'weights' | 'size'>): Promise<Float64Array> {
  const differences = [...weights.values()].map((weight) => sub(weight.tensor, cast(weight.stored, 'f32')));
  const all = new Float64Array(size);
  let at = 0;
  for (const values of await evaluateReference(differences)) {
    all.set(values, at);
    at += values.length;
  }
  return all;
}

/** z becomes these numbers. */
export function setZ({ z }: Subspace, values: ArrayLike<number>): Tensor {
  z.tensor = tensor(Float32Array.from(values), [values.length]);
  return z.tensor;
}

/** P, column by column: what the subspace never makes. */
export async function denseP(subspace: Subspace): Promise<Float64Array[]> {
  const length = subspace.z.tensor.size;
  const columns: Float64Array[] = [];
  for (let j = 0; j < length; j++) {
    setZ(
      subspace,
      Array.from({ length }, (_, at) => (at === j ? 1 : 0)),
    );
    columns.push(await moved(subspace));
  }
  setZ(subspace, new Float32Array(length));
  return columns;
}
