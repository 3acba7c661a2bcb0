import { expect, test } from 'vitest';
import { add, compile, grad, linear, mul, scalar, square, sum, swiglu } from '@lowrank/tensor';
import type { Tensor } from '@lowrank/tensor';
import { evaluateReference, viewAt } from '@lowrank/tensor/op';
import { testBackend } from '../../testing/kernelHarness.js';
import { randomTensors } from '../../testing/randomTensors.js';

const filled = randomTensors(5);

test('a gated block of adapted layers has its gradients as sums of parts, within eight bindings', async () => {
  const backend = await testBackend('portable', { matmul: 'bigTile' });
  try {
    const [rows, width, inner, rank] = [70, 24, 136, 8];
    const x = filled(rows, width);
    const scale = scalar(0.5);
    // As in training: all adapters lie in one vector, which is one binding.
    const flat = filled(8192);
    const layer = (start: number, [out, into]: readonly [number, number]) => ({
      w: filled(out, into),
      a: viewAt(flat, start, [rank, into]),
      b: viewAt(flat, start + 1152, [out, rank]),
    });
    const [gate, up, down] = [layer(0, [inner, width]), layer(2304, [inner, width]), layer(4608, [width, inner])];
    const adapted = (h: Tensor, { w, a, b }: typeof gate): Tensor =>
      add(linear(h, w), linear(mul(linear(h, a), scale), b));
    const fn = (): Record<string, Tensor> => {
      const h = add(x, 1);
      const y = adapted(swiglu(adapted(h, gate), adapted(h, up)), down);
      const wanted = [gate, up, down].flatMap(({ a, b }) => [a, b]);
      const gradients = grad(sum(square(y)), wanted);
      return Object.fromEntries(gradients.map((gradient, at) => [`g${at}`, gradient]));
    };
    const compiled = compile(backend, fn);
    const parts = compiled.plan({}).steps.flatMap(({ attrs }) => ('parts' in attrs ? [attrs.parts] : []));
    expect(parts.flat()).toHaveLength(4);
    const result = await compiled.run();
    const expected = await evaluateReference(Object.values(fn()));
    for (const [at, want] of expected.entries()) {
      const got = await result[`g${at}`];
      const largest = Math.max(...Array.from(want, Math.abs));
      want.forEach((value, i) => expect(Math.abs((got?.[i] ?? NaN) - value) / largest).toBeLessThan(1e-5));
    }
    await compiled.dispose();
  } finally {
    backend.dispose();
  }
});
