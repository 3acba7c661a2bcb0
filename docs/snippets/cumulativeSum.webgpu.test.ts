import { compile, tensor } from '@lowrank/tensor';
import { evaluateReference } from '@lowrank/tensor/op';
import { createWebgpuBackend } from '@lowrank/webgpu';
import { expect, test } from 'vitest';
import { cumulativeSum, cumulativeSumKernel } from './cumulativeSum';

test.each([
  [1, 1],
  [3, 129],
  [70, 8],
])('the kernel is the reference, %s rows of %s', async (rows, width) => {
  const backend = await createWebgpuBackend({ kernels: { cumulativeSum: cumulativeSumKernel } });
  const x = tensor(
    Float32Array.from({ length: rows * width }, (_, i) => ((i * 37) % 11) - 5),
    [rows, width],
  );
  for (const reverse of [false, true]) {
    const [expected] = await evaluateReference([cumulativeSum(x, { reverse })]);
    const { y } = await compile(backend, () => ({ y: cumulativeSum(x, { reverse }) })).run({});
    expect(Array.from(await y)).toEqual(Array.from(expected ?? []));
  }
  backend.dispose();
});
