import { expect, test } from 'vitest';
import type { Step } from '../backend.js';
import { evaluateReference, ReferenceBackend } from '../entries/op.js';
import { add, compile, grad, linear, reshape, square, sum, swiglu, tensor } from '../index.js';
import type { Tensor } from '../index.js';

const filled = (shape: number[], start: number): Tensor =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, at) => 0.3 * Math.sin(start + at)),
    shape,
  );

/** The plan's steps, after a run whose values are the reference's. */
async function stepsOf(fn: () => Record<string, Tensor>, product = (): boolean => true): Promise<readonly Step[]> {
  const plain = new ReferenceBackend();
  const backend = new ReferenceBackend({ maxOperands: 12, fusion: { ...plain.spec.fusion, product } });
  const compiled = compile(backend, fn);
  const results = await compiled.run();
  const expected = await evaluateReference(Object.values(fn()));
  for (const [at, name] of Object.keys(fn()).entries()) {
    const values = await results[name];
    for (const [i, value] of Array.from(expected[at] ?? []).entries()) expect(values?.[i]).toBeCloseTo(value, 4);
  }
  const { steps } = compiled.plan({});
  await compiled.dispose();
  return steps;
}

const gated = (x: Tensor): Tensor => swiglu(linear(x, filled([12, 8], 2)), linear(x, filled([12, 8], 3)));

test('gate and up of one input are one product, which joins them', async () => {
  const steps = await stepsOf(() => ({ y: gated(filled([2, 5, 8], 1)) }));
  // Nobody reads gate and up.
  expect(steps).toMatchObject([{ op: 'matmul', attrs: { epilogue: { form: 'swiglu', keeps: false } } }]);
});

test('with a gradient gate and up are kept, and theirs are made where the product before them is written', async () => {
  const weight = filled([8, 12], 5);
  const steps = await stepsOf(() => {
    const x = filled([2, 5, 8], 1);
    const wide = square(x);
    const y = linear(gated(wide), weight);
    const [gradient = x] = grad(sum(square(y)), [x]);
    return { gradient };
  });
  const formOf = ({ attrs }: Step): unknown => ('epilogue' in attrs ? attrs.epilogue : undefined);
  expect(steps.map(formOf)).toContainEqual({ form: 'swiglu', keeps: true });
  expect(steps.map(({ op }) => op)).not.toContain('swigluBackward');
  // Over gate and up, which nobody reads any more.
  const last = steps.find((step) => JSON.stringify(formOf(step)) === '{"form":"swigluGradient"}');
  expect(last?.outputs.map(({ buffer }) => buffer)).toEqual(last?.inputs.slice(-2).map(({ buffer }) => buffer));
});

test('not where a product has another input, or its result is read before', async () => {
  const apart = await stepsOf(() => {
    const x = filled([5, 8], 1);
    return { y: swiglu(linear(x, filled([12, 8], 2)), linear(square(x), filled([12, 8], 3))) };
  });
  expect(apart.map(({ op }) => op)).toContain('swiglu');
  const read = await stepsOf(() => {
    const x = filled([5, 8], 1);
    const gate = linear(x, filled([12, 8], 2));
    const up = linear(x, filled([12, 8], 3));
    return { y: swiglu(reshape(gate, [5, 12]), linear(add(square(gate), up), filled([12, 12], 4))) };
  });
  expect(read.map(({ op }) => op)).toContain('swiglu');
});

test('nor where the backend has no kernel', async () => {
  const steps = await stepsOf(
    () => ({ y: gated(filled([5, 8], 1)) }),
    () => false,
  );
  expect(steps.map(({ op }) => op)).toEqual(['matmul', 'matmul', 'swiglu']);
});
