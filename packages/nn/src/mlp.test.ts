import { relu, tensor } from '@lowrank/tensor';
import { evaluateReference } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { Conv1d } from './conv1d.js';
import { Linear } from './linear.js';
import { Mlp } from './mlp.js';

test('down(f(up(x))), with layers of either kind, and whatever an adapter puts in their place', async () => {
  const block = new Mlp(
    { up: ['c_fc', new Conv1d(tensor([1, -1], [1, 2]))], down: ['c_proj', new Linear(tensor([3, 5], [1, 2]))] },
    relu,
  );
  expect([...block.namedParameters()].map(([name]) => name)).toEqual(['c_fc.weight', 'c_proj.weight']);
  const x = tensor([2, -2], [2, 1]);
  const [before] = await evaluateReference([block.forward(x)]);
  expect([...(before ?? [])]).toEqual([6, 10]);
  block.setModule('c_proj', new Linear(tensor([1, 1], [1, 2])));
  const [after] = await evaluateReference([block.forward(x)]);
  expect([...(after ?? [])]).toEqual([2, 2]);
});
