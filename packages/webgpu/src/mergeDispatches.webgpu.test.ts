import { expect, test } from 'vitest';
import { add, compile, grad, linear, mul, reshape, rope, scalar, square, sum, tensor } from '@lowrank/tensor';
import type { Tensor } from '@lowrank/tensor';
import { evaluateReference, viewAt } from '@lowrank/tensor/op';
import { lowerPlan } from './lower.js';
import { testBackend } from './testing/kernelHarness.js';
import { randomTensors } from './testing/randomTensors.js';

const filled = randomTensors(3);

test('adapted products of one input, rotated, and their gradients share launches and keep their values', async () => {
  const backend = await testBackend('portable');
  try {
    const [rows, width, heads] = [96, 64, [2, 1, 1]];
    const x = filled(rows, width);
    const scale = scalar(0.5);
    // As in training: all adapters lie in one vector, which is one binding.
    const flat = filled(1024);
    const layers = [0, 384, 704].map((start, at) => ({
      w: filled((heads[at] ?? 1) * 32, width),
      a: viewAt(flat, start, [2, width]),
      b: viewAt(flat, start + 128, [(heads[at] ?? 1) * 32, 2]),
    }));
    const [cosine, sine] = [filled(rows, 16), filled(rows, 16)];
    const positions = tensor(
      Int32Array.from({ length: rows }, (_, at) => (at * 7) % rows),
      [1, rows],
    );
    const fn = (): Record<string, Tensor> => {
      // What the run has made itself: as every layer's input but the first.
      const h = add(x, 1);
      const products = layers.map(({ w, a, b }) => add(linear(h, w), linear(mul(linear(h, a), scale), b)));
      const turned = products.map((y, at) =>
        at === 2 ? y : rope(reshape(y, [1, rows, heads[at] ?? 1, 32]), cosine, sine, positions),
      );
      const loss = turned.map((y) => sum(square(y))).reduce((left, right) => add(left, right));
      const gradients = grad(
        loss,
        layers.flatMap(({ a, b }) => [a, b]),
      );
      return { loss, ...Object.fromEntries(gradients.map((gradient, at) => [`gradient${at}`, gradient])) };
    };
    const compiled = compile(backend, fn);
    const labels = lowerPlan(compiled.plan({}), { profile: backend.profile }).map(({ label }) => label);
    // Three thin products, three wide ones, two rotations: a launch each.
    expect(labels.filter((label) => label.startsWith('matmul NT'))).toHaveLength(2);
    expect(labels.filter((label) => label === 'rope')).toHaveLength(2);
    const result = await compiled.run();
    const wanted = fn();
    const expected = await evaluateReference(Object.values(wanted));
    for (const [at, name] of Object.keys(wanted).entries()) {
      const [got, want] = [await result[name], expected[at] ?? []];
      const largest = Math.max(...Array.from(want, Math.abs));
      want.forEach((value, i) => expect(Math.abs((got?.[i] ?? NaN) - value) / largest).toBeLessThan(1e-5));
    }
    await compiled.dispose();
  } finally {
    backend.dispose();
  }
});
