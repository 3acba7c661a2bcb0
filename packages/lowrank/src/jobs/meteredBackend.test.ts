import { createCpuBackend } from '@lowrank/cpu';
import { compile, matmul, readTensor, tensor } from '@lowrank/tensor';
import { expect, it } from 'vitest';
import { meteredBackend } from './meteredBackend.js';

it('counts what is live, at most and at once, and frees the rest', async () => {
  const below = await createCpuBackend({ threads: 1 });
  const before = below.memory.bytes;
  const metered = meteredBackend(below);
  const [a, b] = [metered.backend.allocate(1000, 'a'), metered.backend.allocate(24, 'b')];
  a.destroy();
  a.destroy();
  metered.backend.allocate(500, 'c');
  expect(metered.backend.memory).toEqual({ buffers: 2, bytes: 524, peakBytes: 1024 });
  expect(metered.peakBytes).toBe(1024);
  metered.release();
  b.destroy();
  expect(metered.backend.memory).toEqual({ buffers: 0, bytes: 0, peakBytes: 1024 });
  expect(below.memory.bytes).toBe(before);
  below.dispose();
});

it('runs what the backend below runs, and leaves nothing there', async () => {
  const below = await createCpuBackend({ threads: 1 });
  const run = async (): Promise<{ values: number[]; peakBytes: number }> => {
    const metered = meteredBackend(below);
    const weight = tensor([1, 2, 3, 4], [2, 2], { name: 'weight' });
    const compiled = compile(metered.backend, () => ({ y: matmul(weight, weight) }));
    const { y } = await compiled.run();
    const values = [...(await y)];
    await readTensor(weight);
    await compiled.dispose();
    metered.release();
    return { values, peakBytes: metered.peakBytes };
  };
  const [first, second] = [await run(), await run()];
  expect(first.values).toEqual([7, 10, 15, 22]);
  expect(second).toEqual(first);
  expect(first.peakBytes).toBeGreaterThanOrEqual(32);
  expect(below.memory.bytes).toBe(0);
  below.dispose();
});
