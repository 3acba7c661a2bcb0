import { expect, test } from 'vitest';
import { evaluateReference, ReferenceBackend } from '../entries/op.js';
import { add, compile, linear, rmsNorm, sum, swiglu, tensor } from '../index.js';
import type { Tensor } from '../index.js';

const filled = (shape: number[], start: number): Tensor =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, at) => Math.sin(start + at)),
    shape,
  );

/** The ops of a plan for products of few rows that make their left operands; its values are the reference's. */
async function opsOf(fn: () => Record<string, Tensor>, maxOperands = 8): Promise<string[]> {
  const backend = new ReferenceBackend();
  const fusion = {
    ...backend.spec.fusion,
    leftOperand: ([a]: readonly { shape: readonly number[] }[]) => a?.shape[0] === 1,
  };
  const compiled = compile(new ReferenceBackend({ fusion, maxOperands }), fn);
  const results = await compiled.run();
  const expected = await evaluateReference(Object.values(fn()));
  for (const [at, name] of Object.keys(fn()).entries()) {
    const values = await results[name];
    for (const [i, value] of Array.from(expected[at] ?? []).entries()) expect(values?.[i]).toBeCloseTo(value, 4);
  }
  const ops = compiled.plan({}).steps.map(({ op }) => op);
  await compiled.dispose();
  return ops;
}

const norm = (rows = 1): Tensor => rmsNorm(filled([rows, 8], 1), filled([8], 2), 1e-5);

test('a norm is made by the products that read it', async () => {
  const ops = await opsOf(() => {
    const x = norm();
    return { q: linear(x, filled([4, 8], 3)), k: linear(x, filled([2, 8], 4)) };
  });
  expect(ops).toEqual(['matmul', 'matmul']);
});

test('so is SwiGLU, and a product still takes its addend', async () => {
  const ops = await opsOf(() => {
    const inner = swiglu(filled([1, 8], 1), filled([1, 8], 2));
    return { y: add(linear(inner, filled([4, 8], 3)), filled([1, 4], 5)) };
  });
  expect(ops).toEqual(['matmul']);
});

test('not where something else reads it, where there are many rows, or where a kernel binds too few', async () => {
  const read = (): Record<string, Tensor> => {
    const x = norm();
    return { y: linear(x, filled([4, 8], 3)), total: sum(x) };
  };
  expect(await opsOf(read)).toContain('rmsNorm');
  expect(await opsOf(() => ({ y: linear(norm(2), filled([4, 8], 3)) }))).toEqual(['rmsNorm', 'matmul']);
  expect(await opsOf(() => ({ y: linear(norm(), filled([4, 8], 3)) }), 3)).toEqual(['rmsNorm', 'matmul']);
});
