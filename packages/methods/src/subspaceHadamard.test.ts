import { tensor } from '@lowrank/tensor';
import { evaluateReference } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { Hadamard } from './subspaceHadamard.js';
import { numbers } from './testing/subspace.js';

const oddBits = (n: number): boolean => n.toString(2).replaceAll('0', '').length % 2 === 1;

test.each([1, 2, 8, 32, 64, 128, 2048])(
  'the transform of %i elements is the sum over (−1)^popcount(i & j)',
  async (size) => {
    const x = numbers(size, 2 * size);
    const [y = new Float64Array()] = await evaluateReference([new Hadamard(size).apply(tensor(x, [2, size]))]);
    for (const row of [0, 1]) {
      for (let i = 0; i < size; i += Math.max(1, size >> 4)) {
        let expected = 0;
        for (let j = 0; j < size; j++) expected += (oddBits(i & j) ? -1 : 1) * (x[row * size + j] ?? NaN);
        expect(y[row * size + i]).toBeCloseTo(expected, 4);
      }
    }
  },
);
