import { readFileSync } from 'node:fs';
import type { Backend, LossTerms } from '@lowrank/tensor';
import { compile, grad, linearCrossEntropy, tensor } from '@lowrank/tensor';
import { expect, test } from 'vitest';

interface Golden {
  readonly labels: readonly number[];
  readonly x: readonly number[];
  readonly weight: readonly number[];
  readonly cases: readonly {
    readonly options: LossTerms & { readonly softcap?: number };
    readonly loss: number;
    readonly ofX: readonly number[];
    readonly ofWeight: readonly number[];
  }[];
}

const golden = JSON.parse(
  readFileSync(new URL('../../parity/golden/lossTerms.json', import.meta.url), 'utf8'),
) as Golden;

/** Label smoothing and z-loss in the fused output projection, against transformers' and torch's. */
export function describeLossTerms(makeBackend: () => Promise<Backend>): void {
  test.each(golden.cases)(
    'cross-entropy with $options, and its gradients',
    async ({ options, loss, ofX, ofWeight }) => {
      const backend = await makeBackend();
      const x = tensor(Float32Array.from(golden.x), [6, 5]);
      const weight = tensor(Float32Array.from(golden.weight), [71, 5]);
      const labels = tensor(Int32Array.from(golden.labels), [6]);
      const step = compile(backend, () => {
        const total = linearCrossEntropy(x, weight, labels, options);
        const [dx, dWeight] = grad(total, [x, weight]);
        return { total, ofX: dx ?? total, ofWeight: dWeight ?? total };
      });
      const outputs = await step.run();
      expect(Math.abs(((await outputs.total)[0] ?? NaN) / loss - 1)).toBeLessThan(1e-5);
      for (const [values, wanted] of [
        [await outputs.ofX, ofX],
        [await outputs.ofWeight, ofWeight],
      ] as const) {
        const largest = Math.max(...wanted.map(Math.abs));
        expect(values.length).toBe(wanted.length);
        wanted.forEach((value, i) => expect(Math.abs((values[i] ?? NaN) - value)).toBeLessThan(1e-5 * largest));
      }
      await step.dispose();
      for (const owned of [x, weight, labels]) owned.dispose();
      backend.dispose();
    },
  );
}
