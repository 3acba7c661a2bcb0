import { expect, test } from 'vitest';
import { evaluateReference, ReferenceBackend } from '../entries/op.js';
import { add, compile, grad, linear, square, sum, swiglu, tensor } from '../index.js';
import type { Tensor } from '../index.js';

const filled = (shape: number[], start: number): Tensor =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, at) => 0.2 * Math.sin(start + at)),
    shape,
  );

/** Gated layers one after another, with the gradients of what comes after each gate: each reads the gate's output. */
function layers(count: number): Record<string, Tensor> {
  const down = Array.from({ length: count }, (_, at) => filled([8, 16], at));
  let x = filled([64, 8], 1);
  for (const [at, weight] of down.entries())
    x = add(x, linear(swiglu(linear(x, filled([16, 8], at + 2)), linear(x, filled([16, 8], at + 3))), weight));
  return Object.fromEntries(grad(sum(square(x)), down).map((gradient, at) => [`gradient${at}`, gradient]));
}

/** Bytes of intermediates and the backward ops' attributes; the gradients are the reference's. */
async function planned(count: number, remaking: boolean): Promise<{ bytes: number; attrs: object[] }> {
  const plain = new ReferenceBackend();
  const backend = new ReferenceBackend({ fusion: { ...plain.spec.fusion, remaking } });
  const compiled = compile(backend, () => layers(count));
  const { steps, buffers } = compiled.plan({});
  const results = await compiled.run();
  const expected = await evaluateReference(Object.values(layers(count)));
  for (const [at, name] of Object.keys(layers(count)).entries()) {
    const [got, want] = [await results[name], expected[at] ?? []];
    const largest = Math.max(...Array.from(want, Math.abs));
    want.forEach((value, i) => expect(Math.abs((got?.[i] ?? NaN) - value) / largest).toBeLessThan(1e-5));
  }
  await compiled.dispose();
  const bytes = buffers.reduce((total, buffer) => total + (buffer.kind === 'arena' ? buffer.bytes : 0), 0);
  return { bytes, attrs: steps.filter(({ op }) => op === 'swigluBackward').map(({ attrs }) => attrs) };
}

test('what lies far behind is made once more by the backward op, and its memory is free in between', async () => {
  const [kept, remade] = [await planned(16, false), await planned(16, true)];
  const again = remade.attrs.filter((attrs) => 'forward' in attrs).length;
  expect(again).toBeGreaterThanOrEqual(8);
  // The output of each, [64, 16], no longer waits for the backward pass.
  expect(kept.bytes - remade.bytes).toBeGreaterThanOrEqual((again - 2) * 64 * 16 * 4);
});

test('what was made a moment ago is read where it lies', async () => {
  const { attrs } = await planned(1, true);
  expect(attrs.every((each) => !('forward' in each))).toBe(true);
});
