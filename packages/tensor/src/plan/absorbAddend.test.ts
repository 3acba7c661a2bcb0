import { expect, test } from 'vitest';
import { evaluateReference, ReferenceBackend } from '../entries/op.js';
import { add, compile, grad, mul, rmsNorm, square, sum, tensor } from '../index.js';
import type { Tensor } from '../index.js';

const filled = (shape: number[], start: number): Tensor =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, at) => Math.sin(start + at)),
    shape,
  );

/** The gradient of a residual branch: that of the stream and that of the norm. */
function residual(): { dx: Tensor } {
  const x = filled([3, 4], 1);
  const y = add(mul(x, 2), rmsNorm(x, filled([4], 2), 1e-5));
  const [dx = y] = grad(sum(square(y)), [x]);
  return { dx };
}

test('the gradient of the residual stream joins that of the norm, with its values', async () => {
  const compiled = compile(new ReferenceBackend(), residual);
  const steps = compiled.plan({}).steps.filter(({ op }) => op === 'rmsNormBackward');
  expect(steps.map(({ attrs, inputs }) => [attrs, inputs.length])).toEqual([[{ epsilon: 1e-5, addend: true }, 4]]);
  const values = await (await compiled.run()).dx;
  const [expected = []] = await evaluateReference([residual().dx]);
  for (const [at, value] of Array.from(expected).entries()) expect(values[at]).toBeCloseTo(value, 4);
  await compiled.dispose();
});

test('a sum that only an elementwise kernel can make stays one', () => {
  const compiled = compile(new ReferenceBackend(), () => ({ y: add(square(filled([3, 4], 1)), filled([3, 4], 2)) }));
  expect(compiled.plan({}).steps.map(({ op }) => op)).toEqual(['elementwise']);
});
