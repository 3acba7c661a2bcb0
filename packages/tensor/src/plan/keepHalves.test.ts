import { expect, test } from 'vitest';
import type { BackendSpec, Plan } from '../backend.js';
import { ReferenceBackend } from '../entries/op.js';
import { add, compile, grad, linear, rmsNorm, square, sum, swiglu, tensor } from '../index.js';
import type { Tensor } from '../index.js';

const filled = (shape: number[], start: number): Tensor =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, at) => 0.5 * Math.sin(start + at)),
    shape,
  );

/** A block on a residual stream, its loss and the gradient of what it began with. */
function block(width = 8): Record<string, Tensor> {
  const x = linear(filled([16, 4], 1), filled([width, 4], 30));
  const normed = rmsNorm(x, filled([width], 2), 1e-5);
  const [gate, up] = [linear(normed, filled([12, width], 3)), linear(normed, filled([12, width], 4))];
  const y = add(x, linear(swiglu(gate, up), filled([width, 12], 5)));
  const loss = sum(square(rmsNorm(y, filled([width], 6), 1e-5)));
  const [dx = loss] = grad(loss, [x]);
  return { loss, dx };
}

async function planOf(fn: () => Record<string, Tensor>, spec: Partial<BackendSpec>): Promise<[Plan, Float32Array]> {
  const backend = new ReferenceBackend({ precision: 'mixed', keepsHalves: () => true, ...spec });
  const compiled = compile(backend, fn);
  const values = await compiled.run();
  const dx = Float32Array.from((await values['dx']) ?? []);
  const plan = compiled.plan({});
  await compiled.dispose();
  return [plan, dx];
}

/** What kind of number each op writes, and which of its operands are f16. */
const written = ({ steps }: Plan): string[] =>
  steps.flatMap(({ op, outputs }) => outputs.map((each) => `${op} ${each.dtype}`));
const halfReads = ({ steps }: Plan, name: string): number[][] =>
  steps
    .filter(({ op }) => op === name)
    .map(({ inputs }) => inputs.flatMap(({ dtype }, at) => (dtype === 'f16' ? [at] : [])));

test('operands of products are kept in f16, the residual stream and what is summed in f32', async () => {
  const [plan, dx] = await planOf(() => block(), {});
  const kinds = written(plan);
  // The norm that products read; the last one is read by arithmetic.
  expect(kinds).toContain('rmsNorm f16');
  expect(kinds).toContain('rmsNorm f32');
  expect(kinds).toContain('swiglu f16');
  expect(kinds.filter((kind) => kind === 'swigluBackward f16').length).toBeGreaterThanOrEqual(2);
  // Norms read the stream in f32, and the gradient that comes out of the products in f16.
  for (const at of halfReads(plan, 'rmsNorm')) expect(at).toEqual([]);
  expect(halfReads(plan, 'rmsNormBackward')).toContainEqual([2]);
  const [, exact] = await planOf(() => block(), { keepsHalves: () => false });
  expect(dx.length).toBe(128);
  const largest = Math.max(...exact.map(Math.abs));
  dx.forEach((value, at) => expect(Math.abs(value - (exact[at] ?? NaN))).toBeLessThan(4e-3 * largest));
  expect(dx.some((value, at) => value !== exact[at])).toBe(true);
});

test('none where the device computes in f32, rows are no whole groups of four, or a kernel does not', async () => {
  const has16 = ({ steps }: Plan): boolean => steps.some(({ outputs }) => outputs.some(({ dtype }) => dtype === 'f16'));
  const [wide] = await planOf(() => block(), {});
  expect(has16(wide)).toBe(true);
  const [f32] = await planOf(() => block(), { keepsHalves: () => false });
  expect(has16(f32)).toBe(false);
  const [odd] = await planOf(() => block(6), {});
  expect(written(odd)).not.toContain('rmsNorm f16');
  const [some] = await planOf(() => block(), { keepsHalves: (op) => op !== 'matmul' });
  expect(written(some)).not.toContain('rmsNorm f16');
});

test('a plan in f16 takes less memory', async () => {
  const bytes = ({ buffers }: Plan): number =>
    buffers.reduce((total, buffer) => total + (buffer.kind === 'arena' ? buffer.bytes : 0), 0);
  const tight = { alignment: 4 };
  const [half] = await planOf(() => block(), tight);
  const [whole] = await planOf(() => block(), { ...tight, keepsHalves: () => false });
  expect(bytes(half)).toBeLessThan(0.8 * bytes(whole));
});

test('pieces that lie side by side move together, and results over operands stay there', async () => {
  const product = {
    elementwiseInstructions: 32,
    matmulEpilogue: true,
    absorption: true,
    remaking: true,
    product: () => true,
  };
  for (const maxOperands of [7, 8, 9, 12]) {
    const [plan, dx] = await planOf(() => block(), { fusion: product, maxOperands });
    const [, exact] = await planOf(() => block(), { fusion: product, maxOperands, keepsHalves: () => false });
    const largest = Math.max(...exact.map(Math.abs));
    dx.forEach((value, at) => expect(Math.abs(value - (exact[at] ?? NaN))).toBeLessThan(4e-3 * largest));
    for (const { inputs, outputs } of plan.steps) {
      const slices = new Set([...inputs, ...outputs].map(({ buffer, offset }) => `${buffer}+${offset}`));
      expect(slices.size).toBeLessThanOrEqual(maxOperands);
    }
  }
});
