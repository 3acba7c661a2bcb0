import { compile, grad, sum, tensor } from '@lowrank/tensor';
import type { Tensor } from '@lowrank/tensor';
import { expect, test } from 'vitest';
import { referenceBackend } from '../testing.js';
import { log1mexp, logSigmoid } from './logSigmoid.js';

async function valuesOf(fn: (x: Tensor) => Tensor, at: readonly number[]): Promise<{ y: number[]; slope: number[] }> {
  const x = tensor(Float32Array.from(at), [at.length]);
  const compiled = compile(referenceBackend(), () => {
    const y = fn(x);
    const [slope = y] = grad(sum(y), [x]);
    return { y, slope };
  });
  const { y, slope } = await compiled.run({});
  const values = { y: [...(await y)], slope: [...(await slope)] };
  await compiled.dispose();
  return values;
}

test('log σ is finite everywhere, with its slope at 0', async () => {
  const { y, slope } = await valuesOf(logSigmoid, [-200, -1, 0, 1, 200]);
  [-200, Math.log(1 / (1 + Math.E)), -Math.LN2, Math.log(1 / (1 + Math.exp(-1))), 0].forEach((want, at) =>
    expect(y[at]).toBeCloseTo(want, 5),
  );
  [1, 1 / (1 + Math.exp(-1)), 0.5, 1 / (1 + Math.E), 0].forEach((want, at) => expect(slope[at]).toBeCloseTo(want, 5));
});

test('log(1 − eˣ) keeps its precision near 0 and far from it', async () => {
  const at = [-1e-6, -1e-3, -0.2, -0.7, -3, -40];
  const { y, slope } = await valuesOf(log1mexp, at);
  for (const [i, x] of at.entries()) {
    const exact = Math.fround(x);
    expect(y[i]).toBeCloseTo(Math.log(-Math.expm1(exact)), 5);
    const want = Math.exp(exact) / Math.expm1(exact);
    expect(Math.abs((slope[i] ?? NaN) - want)).toBeLessThanOrEqual(1e-5 * Math.abs(want));
  }
});
