import type { Operand, Plan, Step } from '@lowrank/tensor/backend';
import { expect, test } from 'vitest';
import { exactly } from './bounds.js';
import type { DeviceRates } from './deviceRates.js';
import { stepTime } from './stepTime.js';

const operand = (buffer: number, shape: readonly number[]): Operand => {
  const bytes = 4 * shape.reduce((size, length) => size * length, 1);
  return { buffer, offset: 0, bytes, shape, dtype: 'f32' };
};

function step(op: Step['op'], attrs: object, [inputs, output]: readonly [readonly Operand[], Operand]): Step {
  const flops = op === 'matmul' ? 2 * 256 ** 3 : 0;
  return { op, attrs, inputs, outputs: [output], workspace: undefined, scope: '', flops };
}

const square = (buffer: number): Operand => operand(buffer, [256, 256]);
const product = step('matmul', { transposeA: false, transposeB: false }, [[square(0), square(1)], square(2)]);
const sum = step('elementwise', { program: ['add'] }, [[square(0), square(2)], square(3)]);
const plan: Plan = { buffers: [], steps: [product, sum, { ...sum }], inputs: [], scalars: [], outputs: [] };

const rates: DeviceRates = {
  flops: { least: 1e9, most: 4e9 },
  bytes: exactly(1e9),
  launch: exactly(1e-3),
  efficiency: (group) => exactly(group === 'products' ? 0.5 : 1),
};

test('a launch takes the longer of its operations and its bytes, at its share of the rates, and its start', () => {
  const { seconds, groups } = stepTime([{ plan, times: 3 }], rates);
  const work = (2 * 256 ** 3) / 2e9;
  const moved = (3 * 4 * 256 ** 2) / 1e9;
  expect(seconds.expected).toBeCloseTo(3 * (work / 0.5 + 2 * moved + 3e-3), 12);
  expect(seconds.least).toBeCloseTo(3 * (work / 2 / 0.5 + 2 * moved + 3e-3), 12);
  expect(seconds.most).toBeCloseTo(3 * ((2 * work) / 0.5 + 2 * moved + 3e-3), 12);
  expect(groups.map(({ group, dispatches }) => [group, dispatches])).toEqual([
    ['products', 3],
    ['norms and sums', 6],
  ]);
  expect(groups.map(({ best }) => best)).toEqual([expect.closeTo(3 * work, 12), expect.closeTo(6 * moved, 12)]);
  expect(groups.reduce((total, group) => total + group.seconds, 0)).toBeCloseTo(seconds.expected, 12);
});

test('where memory is slow, bytes decide', () => {
  const slow = { ...rates, bytes: exactly(1e6) };
  const { seconds } = stepTime([{ plan, times: 1 }], slow);
  const moved = (3 * 4 * 256 ** 2) / 1e6;
  expect(seconds.expected).toBeCloseTo(moved / 0.5 + 2 * moved + 3e-3, 9);
});
