import { expect, test } from 'vitest';
import type { BackendSpec, Step } from '../backend.js';
import { evaluateReference, ReferenceBackend } from '../entries/op.js';
import { add, compile, linear, matmul, square, tensor } from '../index.js';
import type { Tensor } from '../index.js';

const filled = (shape: number[], start: number): Tensor =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, at) => Math.sin(start + at)),
    shape,
  );

/** A layer's gradient by its input: the base's product and the adapter's. */
function layerGradient(at: number, width: number): Tensor {
  const g = square(filled([16, width], at));
  const h = square(matmul(g, filled([width, 4], at + 2)));
  return add(matmul(g, filled([width, 12], at + 1)), matmul(h, filled([4, 12], at + 3)));
}

/** The products of a plan whose values, run, are the reference's. */
async function productsOf(fn: () => Tensor, spec: Partial<BackendSpec> = {}): Promise<Step[]> {
  const plain = new ReferenceBackend();
  const fusion = { ...plain.spec.fusion, product: () => true };
  const compiled = compile(new ReferenceBackend({ fusion, ...spec }), () => ({ y: fn() }));
  const values = await (await compiled.run()).y;
  const [expected = []] = await evaluateReference([fn()]);
  for (const [at, value] of Array.from(expected).entries()) expect(values[at]).toBeCloseTo(value, 3);
  const { steps } = compiled.plan({});
  await compiled.dispose();
  return steps.filter(({ op, outputs }) => op === 'matmul' && outputs[0]?.shape[1] === 12);
}

const both = (): Tensor => add(layerGradient(1, 8), layerGradient(20, 24));
const three = (): Tensor => add(add(layerGradient(1, 8), layerGradient(20, 8)), layerGradient(40, 24));

test('the sum of two layers’ gradients is one product of both, with both low-rank parts', async () => {
  const [sum, ...others] = await productsOf(both, { maxOperands: 9 });
  expect(sum?.attrs).toMatchObject({ lowRank: 'nn', further: [{ lowRank: 'nn' }] });
  expect(others).toEqual([]);
});

test('where a kernel binds fewer buffers, thin operands lie side by side, then small ones', async () => {
  const [sum, ...others] = await productsOf(three, { maxOperands: 10 });
  expect(others).toEqual([]);
  const placesOf = (at: readonly number[]): Set<number | undefined> => new Set(at.map((i) => sum?.inputs[i]?.buffer));
  // Operands go a, b, h, u for each of the three products.
  expect(placesOf([2, 6, 10]).size).toBe(1);
  expect(placesOf([4, 8]).size).toBe(1);
  expect(sum?.attrs).toMatchObject({ further: [{ lowRank: 'nn' }, { lowRank: 'nn' }] });
});

test('where it cannot, the result is written and read again', async () => {
  expect(await productsOf(both, { maxOperands: 6 })).toHaveLength(2);
});

test('not where somebody else reads the first result', async () => {
  const products = await productsOf(() => {
    const first = layerGradient(1, 8);
    return linear(add(first, layerGradient(20, 8)), first);
  });
  expect(products.map(({ attrs }) => 'further' in attrs && attrs.further !== undefined)).not.toContain(true);
});
