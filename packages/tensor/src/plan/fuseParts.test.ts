import { expect, test } from 'vitest';
import type { Step } from '../backend.js';
import { evaluateReference, ReferenceBackend } from '../entries/op.js';
import { compile, grad, linear, mul, scalar, square, sum, swiglu, tensor, add } from '../index.js';
import type { Tensor } from '../index.js';
import type { MatmulAttrs } from '../ops/matmulOperands.js';

const filled = (shape: number[], start: number): Tensor =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, at) => 0.3 * Math.sin(start + at)),
    shape,
  );

const rank = 4;
const scale = scalar(0.5);

/** x·Wᵀ + (s·(x·Aᵀ))·Bᵀ */
function adapted(x: Tensor, w: Tensor, { a, b }: { a: Tensor; b: Tensor }): Tensor {
  return add(linear(x, w), linear(mul(linear(x, a), scale), b));
}

/** The gradients of a gated block's adapters, by its steps, after a run whose values are the reference's. */
async function stepsOf(product: (inputs: unknown, attrs: object) => boolean): Promise<readonly Step[]> {
  const [width, inner, rows] = [6, 72, 70];
  const pair = (into: number, out: number, seed: number) => ({
    a: filled([rank, into], seed),
    b: filled([out, rank], seed + 1),
  });
  const [gate, up, down] = [pair(width, inner, 10), pair(width, inner, 20), pair(inner, width, 30)];
  const weights = [filled([inner, width], 2), filled([inner, width], 3), filled([width, inner], 4)] as const;
  const fn = (): Record<string, Tensor> => {
    const x = square(filled([rows, width], 1));
    const y = swiglu(adapted(x, weights[0], gate), adapted(x, weights[1], up));
    // The backward pass begins far behind what it makes once more (`remakeOutputs`).
    const far = Array.from({ length: 60 }).reduce((z: Tensor) => add(z, 0.001), adapted(y, weights[2], down));
    const loss = sum(square(far));
    const wanted = [down.a, up.b, gate.b, up.a, gate.a, down.b, x];
    return Object.fromEntries(grad(loss, wanted).map((gradient, at) => [`g${at}`, gradient]));
  };
  const plain = new ReferenceBackend();
  const { fusion } = plain.spec;
  const backend = new ReferenceBackend({ maxOperands: 16, fusion: { ...fusion, remaking: true, product } });
  const compiled = compile(backend, fn);
  const results = await compiled.run();
  const expected = await evaluateReference(Object.values(fn()));
  for (const [at, values] of expected.entries()) {
    const actual = await results[`g${at}`];
    const largest = Math.max(...values.map(Math.abs));
    for (const [i, value] of Array.from(values).entries())
      expect((actual?.[i] ?? NaN) / largest).toBeCloseTo(value / largest, 5);
  }
  const { steps } = compiled.plan({});
  await compiled.dispose();
  return steps;
}

const partsOf = ({ attrs }: Step): MatmulAttrs['parts'] =>
  'parts' in attrs ? (attrs as MatmulAttrs).parts : undefined;

test('thin products with the gradients of gate and up, and with what they had made, are sums of parts', async () => {
  const steps = await stepsOf(() => true);
  const product = steps.find((step) => partsOf(step)?.some(({ of }) => of === 2));
  // dA of the layer behind, dB of both, and the gradients of both layers' first products.
  expect(
    product === undefined
      ? []
      : partsOf(product)
          ?.map(({ of, over }) => `${over} ${of}`)
          .toSorted(),
  ).toEqual(['columns 0', 'columns 1', 'rows 0', 'rows 1', 'rows 2']);
  // What gate and up were joined to is not written; the sums lie side by side.
  expect(product?.attrs).toMatchObject({ epilogue: { form: 'swigluGradient' } });
  expect(product?.outputs).toHaveLength(2 + 5);
  expect(new Set(product?.outputs.slice(2).map(({ buffer }) => buffer)).size).toBe(1);
  const sums = product?.outputs.slice(2) ?? [];
  const isSum = ({ op, inputs }: Step): boolean =>
    op === 'reduce' && sums.some(({ buffer, offset }) => inputs[0]?.buffer === buffer && inputs[0].offset === offset);
  expect(steps.filter(isSum)).toHaveLength(5);
});

test('not where the backend has no kernel for them', async () => {
  const steps = await stepsOf((_, attrs) => (attrs as MatmulAttrs).parts === undefined);
  expect(steps.some((step) => partsOf(step) !== undefined)).toBe(false);
  expect(steps.some(({ attrs }) => JSON.stringify(attrs).includes('"forward":true'))).toBe(true);
});
