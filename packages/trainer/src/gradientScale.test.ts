import { compile, mul, sum, tensor } from '@lowrank/tensor';
import { expect, it } from 'vitest';
import { gradientScaleFor, scaledGrad } from './gradientScale.js';
import { referenceBackend } from './testing.js';

it('is a power of two that makes the gradient of a label token’s logits at most 12', () => {
  for (const weight of [0.25, 1, 3, 100, 4095, 4096, 5792, 5793, 1e6]) {
    const scale = gradientScaleFor(weight);
    expect(Number.isInteger(Math.log2(scale))).toBe(true);
    expect(scale / Math.max(weight, 1)).toBeGreaterThan(5.6);
    expect(scale / Math.max(weight, 1)).toBeLessThan(12);
  }
});

it('changes no bit of a gradient in f32, though it passes through every product scaled', async () => {
  const backend = referenceBackend();
  const x = tensor([0.1, -0.7, 1 / 3], [3]);
  const up = gradientScaleFor(1000);
  const gradientWith = async (scale: Parameters<typeof scaledGrad>[2]): Promise<number[]> => {
    const run = compile(backend, () => {
      const loss = mul(sum(mul(mul(x, x), x)), 1 / 1000);
      return { gradient: scaledGrad(loss, [x], scale)[0] ?? x };
    });
    return Array.from(await (await run.run()).gradient, Number);
  };
  const plain = await gradientWith(undefined);
  expect(plain).toHaveLength(3);
  expect(await gradientWith({ up, down: 1 / up })).toEqual(plain);
});
