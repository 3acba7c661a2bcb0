import { momentMaps } from '@lowrank/tensor/op';
import { expect, it } from 'vitest';
import { describeKernel, expectWithin, given, randomInput, scalarInput } from '../testing/kernelHarness.js';
import type { KernelCase, KernelResult, TestInput } from '../testing/kernelHarness.js';

function step(size: number, clip: TestInput): KernelCase {
  const [lines, blocks] = [Math.ceil(size / 64), Math.ceil(size / 256)];
  const codes = (seed: number): TestInput =>
    given(
      [...randomInput([size], seed).data].map((x) => Math.floor(128 + 128 * x)),
      [size],
      'u8',
    );
  return {
    op: 'adamw8bit',
    attrs: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
    inputs: [
      randomInput([size], 1),
      randomInput([size], 2),
      codes(3),
      codes(4),
      given([...randomInput([2 * blocks], 5).data].map(Math.abs), [blocks, 2]),
      given(
        Array.from({ length: 2 * lines }, (_, i) => (i % 2 === 0 ? 1 + (i % 7) : 0.1)),
        [lines, 2],
      ),
      given([...momentMaps()], [2, 256]),
      ...[1e-3, 2e-3, 1.5].map((value) => scalarInput(value)),
      clip,
    ],
    inPlace: [
      [0, 0],
      [2, 1],
      [3, 2],
      [4, 3],
    ],
  };
}

/** Parameters and scales to rounding; codes too, but for a neighbour where a moment lies halfway between two places. */
function expectClose({ actual, expected }: KernelResult): void {
  [0, 3].forEach((at) =>
    expectWithin(actual[at], expected[at], {
      c: 32,
      magnitude: (expected[at] ?? new Float64Array()).map((x) => 4 + Math.abs(x)),
    }),
  );
  [1, 2].forEach((at) => {
    const differences = (expected[at] ?? new Float64Array()).map((code, i) =>
      Math.abs(code - (actual[at]?.[i] ?? NaN)),
    );
    expect(Math.max(...differences)).toBeLessThanOrEqual(1);
    expect(differences.filter((difference) => difference > 0).length).toBeLessThanOrEqual(1 + differences.length / 200);
  });
}

describeKernel('adamw8bit', ({ run }) => {
  it('updates parameters, codes and scales in place, block by block', async () => {
    for (const size of [1, 67, 256, 1027]) expectClose(await run(step(size, scalarInput(0.5))));
  });

  it('takes a clip factor that was computed', async () => {
    expectClose(await run(step(259, { ...scalarInput(0.25), scalar: false })));
  });

  it('starts from zeros, and keeps a block without gradient at zero', async () => {
    const { inputs, ...test } = step(300, scalarInput(1));
    const zeros = inputs.map((input, at) =>
      [1, 2, 3, 4].includes(at)
        ? { ...input, data: input.data.map((value, i) => (at === 1 && i < 256 ? value : 0)) }
        : input,
    );
    const result = await run({ ...test, inputs: zeros as TestInput[] });
    expectClose(result);
    expect([...(result.actual[3] ?? [])].slice(2)).toEqual([0, 0]);
  });

  it('leaves everything as it is when the factor is not finite', async () => {
    for (const clip of [NaN, Infinity]) {
      const test = step(67, scalarInput(clip));
      const { actual } = await run(test);
      [0, 2, 3, 4].forEach((input, output) =>
        expect([...(actual[output] ?? [])].slice(0, test.inputs[input]?.data.length)).toEqual([
          ...(test.inputs[input]?.data ?? []),
        ]),
      );
    }
  });
});
