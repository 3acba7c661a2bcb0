import { assign, compile, crossEntropy, grad, mul, relu, Rng, sub, tensor } from '@lowrank/tensor';
import { evaluateReference, ReferenceBackend } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { Linear } from './linear.js';
import { Sequential } from './sequential.js';

test('steps run in turn, and a layer’s name is its place', async () => {
  const net = new Sequential(
    new Linear(tensor([1, -1, 0, 2], [2, 2])),
    relu,
    new Linear(tensor([1, 1], [1, 2]), tensor([3])),
  );
  expect([...net.namedParameters()].map(([path]) => path)).toEqual(['0.weight', '2.weight', '2.bias']);
  expect(await evaluateReference([net.forward(tensor([4, 3], [1, 2]))])).toEqual([Float64Array.of(10)]);
  net.setModule('2', new Sequential());
  expect(await evaluateReference([net.forward(tensor([4, 3], [1, 2]))])).toEqual([Float64Array.of(1, 6)]);
});

test('what is neither a layer nor a function is refused', () => {
  expect(() => new Sequential('relu' as never)).toThrow(
    /step of new Sequential: expected a layer or a function, got 'relu'/,
  );
});

test('a network of two layers learns XOR', async () => {
  const net = new Sequential(new Linear(2, 8, { rng: new Rng(1) }), relu, new Linear(8, 2, { rng: new Rng(2) }));
  const x = tensor([0, 0, 0, 1, 1, 0, 1, 1], [4, 2]);
  const labels = tensor(Int32Array.of(0, 1, 1, 0), [4]);
  const backend = new ReferenceBackend();
  const parameters = [...net.namedParameters()].map(([, { tensor: held }]) => held);
  const step = compile(backend, () => {
    const loss = crossEntropy(net.forward(x), labels);
    grad(loss, parameters).forEach((slope, at) => {
      const held = parameters[at];
      if (held !== undefined) assign(held, sub(held, mul(slope, 0.5)));
    });
    return { loss };
  });
  for (let i = 0; i < 100; i++) await step.run({}, { read: [] });
  const { loss } = await step.run();
  expect((await loss)[0]).toBeLessThan(0.05);
  await step.dispose();
});
