import { injectSubspace, projections } from '@lowrank/methods';
import { Linear, Module } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { add, compile, fromNumbers, grad, mul, Rng, square, sum, tensor } from '@lowrank/tensor';
import { evaluateReference } from '@lowrank/tensor/op';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { chooseBackend } from '../device.js';
import type { Backend } from '@lowrank/tensor';

let backend: Backend;
beforeAll(async () => {
  backend = (await chooseBackend('webgpu')).backend;
});
afterAll(() => backend.dispose());

const rng = new Rng(5);
const numbers = (count: number): Float32Array => Float32Array.from({ length: count }, () => rng.normal());

class Two extends Module {
  constructor(values: readonly [Float32Array, Float32Array]) {
    super();
    this.child('first', new Linear(tensor(values[0].slice(), [24, 17])));
    this.child('second', new Linear(tensor(fromNumbers(values[1], 'bf16'), [12, 10], { dtype: 'bf16' })));
  }
}

test.each(projections)(
  'weights in a %s subspace and the gradient of z are those of the references',
  async (projection) => {
    const values = [numbers(24 * 17), numbers(120)] as const;
    const z = numbers(41).map((value) => 0.1 * value);
    const c = [numbers(24 * 17), numbers(120)] as const;
    const outputs = (): { z: Tensor; all: Record<string, Tensor> } => {
      const subspace = injectSubspace(new Two(values), { dimension: 41, projection, seed: 9 });
      subspace.z.tensor = tensor(z.slice(), [41]);
      const moved = [...subspace.weights.values()].map((weight) => weight.tensor);
      const loss = moved
        .map((weight, at) => sum(mul(tensor((c[at] ?? new Float32Array()).slice(), weight.shape), square(weight))))
        .reduce((a, b) => add(a, b));
      const [gradient = loss] = grad(loss, [subspace.z.tensor]);
      return { z: subspace.z.tensor, all: { first: moved[0] ?? loss, second: moved[1] ?? loss, gradient } };
    };
    const expected = await evaluateReference(Object.values(outputs().all));
    const step = compile(backend, () => outputs().all);
    const found = await step.run();
    for (const [at, name] of ['first', 'second', 'gradient'].entries()) {
      const values32 = await found[name];
      const reference = expected[at] ?? new Float64Array();
      const largest = Math.max(...reference.map(Math.abs));
      expect(values32).toHaveLength(reference.length);
      reference.forEach((value, i) => expect(Math.abs(Number(values32?.[i]) - value)).toBeLessThan(4e-6 * largest));
    }
    await step.dispose();
  },
);
