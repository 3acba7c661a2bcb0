import { expect, test } from 'vitest';
import { evaluateReference, ReferenceBackend } from '../entries/op.js';
import { add, compile, linear, matmul, mul, scalar, tensor } from '../index.js';
import type { Tensor } from '../index.js';

const filled = (shape: number[], start: number): Tensor =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, at) => Math.sin(start + at)),
    shape,
  );
const s = scalar(0.5, { name: 's' });

/** The plan's steps, after a run whose values are the reference's. */
async function stepsOf(fn: () => Tensor): Promise<{ op: string; attrs: object }[]> {
  const compiled = compile(new ReferenceBackend(), () => ({ y: fn() }));
  const values = await (await compiled.run()).y;
  const [expected = []] = await evaluateReference([fn()]);
  expect(values.length).toBe(expected.length);
  for (const [at, value] of Array.from(expected).entries()) expect(values[at]).toBeCloseTo(value, 5);
  const steps = compiled.plan({}).steps.map(({ op, attrs }) => ({ op, attrs }));
  await compiled.dispose();
  return steps;
}

const product = (): Tensor => linear(filled([3, 4], 1), filled([2, 4], 2));

test('a scalar joins the product that it multiplies, from either side', async () => {
  expect(await stepsOf(() => mul(product(), s))).toMatchObject([{ op: 'matmul', attrs: { scaled: true } }]);
  expect(await stepsOf(() => mul(s, product()))).toMatchObject([{ op: 'matmul', attrs: { scaled: true } }]);
});

test('an addend joins after it, and is not scaled', async () => {
  const steps = await stepsOf(() => add(mul(product(), s), filled([3, 2], 3)));
  expect(steps).toMatchObject([{ op: 'matmul', attrs: { scaled: true, addend: 'full' } }]);
});

test('a scaled product is no low-rank part: its own factor would scale the sum', async () => {
  const thin = (): Tensor => matmul(filled([3, 1], 4), filled([1, 2], 5));
  expect(await stepsOf(() => add(product(), mul(thin(), s)))).toHaveLength(2);
});

test('not where the product is read without it, or the factor is an array', async () => {
  const both = (y: Tensor): Tensor => matmul(y, mul(y, s), { transposeB: true });
  const ops = await stepsOf(() => both(product()));
  expect(ops.map(({ op }) => op)).toEqual(['matmul', 'elementwise', 'matmul']);
  const array = await stepsOf(() => mul(product(), filled([3, 2], 5)));
  expect(array.map(({ op }) => op)).toEqual(['matmul', 'elementwise']);
});

test('the op stays where it stood, so that its operands need not live until the product is scaled', async () => {
  const steps = await stepsOf(() => {
    const first = linear(filled([3, 4], 1), filled([4, 4], 2));
    const second = linear(filled([3, 4], 3), filled([4, 4], 4));
    return matmul(second, mul(first, s), { transposeB: true });
  });
  expect(steps.map(({ attrs }) => 'scaled' in attrs)).toEqual([true, false, false]);
});
