import { expect, test } from 'vitest';
import { add, compile, grad, linear, mul, scalar, square, sum, swiglu } from '@lowrank/tensor';
import type { Tensor } from '@lowrank/tensor';
import { evaluateReference, viewAt } from '@lowrank/tensor/op';
import { lowerPlan } from '../../lower.js';
import { testBackend } from '../../testing/kernelHarness.js';
import { randomTensors } from '../../testing/randomTensors.js';

const filled = randomTensors(3);

test('a gated layer with adapters and its gradients: joined and summed in products of eight bindings', async () => {
  // The large tile, which small sizes take only when asked.
  const backend = await testBackend('portable', { matmul: 'bigTile' });
  try {
    const [rows, width, inner] = [70, 36, 44];
    // As in training: all adapters lie in one vector, which is one binding.
    const flat = filled(1024);
    const scale = scalar(0.5);
    const layer = (columns: number, results: number, start: number) => {
      const [w, a, b] = [
        filled(results, columns),
        viewAt(flat, start, [2, columns]),
        viewAt(flat, start + 128, [results, 2]),
      ];
      return { a, b, apply: (x: Tensor): Tensor => add(linear(x, w), linear(mul(linear(x, a), scale), b)) };
    };
    const [gate, up, down] = [layer(width, inner, 0), layer(width, inner, 256), layer(inner, width, 512)];
    const x = filled(rows, width);
    const fn = (): Record<string, Tensor> => {
      const h = square(x);
      const loss = sum(square(down.apply(swiglu(gate.apply(h), up.apply(h)))));
      return Object.fromEntries(grad(loss, [x, gate.a]).map((gradient, at) => [`gradient${at}`, gradient]));
    };
    const compiled = compile(backend, fn);
    const labels = lowerPlan(compiled.plan({}), { profile: backend.profile, tuning: backend.tuning }).map(
      ({ label }) => label,
    );
    for (const part of ['36|36 f32 swiglu ', 'f32 swigluGradient', '44+44 f32'])
      expect(labels.filter((label) => label.includes(part))).toHaveLength(1);
    const result = await compiled.run();
    const expected = await evaluateReference(Object.values(fn()));
    for (const [at, want] of expected.entries()) {
      const got = await result[`gradient${at}`];
      const largest = Math.max(...Array.from(want, Math.abs));
      want.forEach((value, i) => expect(Math.abs((got?.[i] ?? NaN) - value) / largest).toBeLessThan(1e-5));
    }
    await compiled.dispose();
  } finally {
    backend.dispose();
  }
});
