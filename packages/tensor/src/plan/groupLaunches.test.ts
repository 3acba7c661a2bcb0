import { expect, test } from 'vitest';
import type { Step } from '../backend.js';
import { evaluateReference, ReferenceBackend, viewAt } from '../entries/op.js';
import { add, compile, grad, linear, matmul, square, sum, tensor } from '../index.js';
import type { Tensor } from '../index.js';

const filled = (shape: number[], start: number): Tensor =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, at) => Math.sin(start + at)),
    shape,
  );
const launchClass = (op: string): string | undefined => (op === 'matmul' ? 'products' : undefined);

/** The plan of a function whose values, run, are the reference's; its steps' groups by the ops in them. */
async function planOf(
  fn: () => Record<string, Tensor>,
  spec: Partial<ReferenceBackend['spec']> = {},
): Promise<{ steps: readonly Step[]; groups: string[][] }> {
  const compiled = compile(new ReferenceBackend({ launchClass, ...spec }), fn);
  const { steps } = compiled.plan({});
  const results = await compiled.run();
  const expected = await evaluateReference(Object.values(fn()));
  for (const [at, name] of Object.keys(fn()).entries()) {
    const values = await results[name];
    for (const [i, value] of Array.from(expected[at] ?? []).entries()) expect(values?.[i]).toBeCloseTo(value, 4);
  }
  await compiled.dispose();
  const numbers = [...new Set(steps.flatMap(({ group }) => group ?? []))];
  const groups = numbers.map((number) => steps.filter(({ group }) => group === number).map(({ op }) => op));
  return { steps, groups };
}

test('products of one input become neighbours of one group, also from behind what reads the first', async () => {
  const { groups } = await planOf(() => {
    const x = filled([64, 8], 1);
    const [a, b] = [linear(x, filled([4, 8], 2)), linear(x, filled([4, 8], 3))];
    return { both: add(square(a), square(b)) };
  });
  expect(groups).toContainEqual(['matmul', 'matmul']);
});

test('a product that needs another one stays behind it', async () => {
  const { steps } = await planOf(() => ({
    y: matmul(linear(filled([4, 4], 1), filled([4, 4], 2)), filled([4, 4], 3)),
  }));
  expect(steps.map(({ group }) => group)).toEqual([undefined, undefined]);
});

test('small results come to lie side by side, and pieces of one vector are one binding', async () => {
  const make = (): Record<string, Tensor> => {
    const [x, flat] = [filled([64, 8], 1), filled([512], 2)];
    const layers = [0, 64, 128, 192].map((start) => linear(x, viewAt(flat, start, [1, 8])));
    return Object.fromEntries(layers.map((y, at) => [`y${at}`, y]));
  };
  // x, the vector and the results: three bindings.
  const { steps } = await planOf(make, { maxOperands: 3 });
  expect(new Set(steps.map(({ group }) => group))).toEqual(new Set([0]));
  expect(new Set(steps.flatMap(({ outputs }) => outputs.map(({ buffer }) => buffer))).size).toBe(1);
  const alone = await planOf(make, { maxOperands: 2 });
  expect(alone.steps.every(({ group }) => group === undefined)).toBe(true);
});

test('a large result is not made early, past what reads the first: two would take their memory at once', async () => {
  const large = (start: number): Tensor => sum(square(matmul(filled([16, 2], start), filled([2, 16], start + 1))));
  const { groups } = await planOf(() => ({ y: add(large(1), large(3)) }));
  expect(groups).not.toContainEqual(['matmul', 'matmul']);
});

test('gradients of adapters on one input share launches', async () => {
  const { groups } = await planOf(() => {
    const [x, a, b] = [filled([64, 8], 1), filled([2, 8], 2), filled([2, 8], 3)];
    const loss = sum(add(square(linear(x, a)), square(linear(x, b))));
    const [da = a, db = b] = grad(loss, [a, b]);
    return { da, db };
  });
  expect(groups.filter((ops) => ops.length === 2 && ops[0] === 'matmul').length).toBeGreaterThanOrEqual(1);
});
